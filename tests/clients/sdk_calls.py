"""What a user of fal's SDK does to call apps. Prints one JSON object of what it saw."""

import json

import httpx
from fal import apps

APP = "queue/z-image-text-to-image"
SMALL = {"width": 64, "height": 64}


def submitted() -> dict[str, object]:
    """The SDK reads the code of a status, not its text: 200 means that it has ended."""
    handle = apps.submit(APP, {"prompt": "a fox sleep=0.05", "seed": 5, **SMALL})
    events = [type(event).__name__ for event in handle.iter_events(logs=True)]
    ended = handle.status(logs=True)
    return {
        "events": events,
        "ended": type(ended).__name__,
        "logs": len(ended.logs),
        "logs_unasked": handle.status().logs,
        "result": handle.fetch_result(),
    }


def cancelled() -> dict[str, object]:
    long = apps.submit(APP, {"prompt": "long sleep=0.15", **SMALL})
    waiting = apps.submit(APP, {"prompt": "waiting", **SMALL})
    place = waiting.status().position
    waiting.cancel()
    ended = waiting.status()
    long.get()
    return {"place": place, "ended": [type(ended).__name__, ended.error_type], "result": refusal(waiting)}


def refusal(handle: apps.RequestHandle) -> list[object]:
    try:
        handle.get()
    except httpx.HTTPStatusError as error:
        return [error.response.status_code, str(error)]
    return []


print(  # noqa: T201 - this is what the test reads
    json.dumps(
        {
            "submitted": submitted(),
            "run": len(apps.run(APP, {"prompt": "a hen", "batch_size": 2, **SMALL})["images"]),
            "cancelled": cancelled(),
            "unable": refusal(apps.submit(APP, {"prompt": "refuse", **SMALL})),
        }
    )
)
