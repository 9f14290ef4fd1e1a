"""What a user of fal's Python client does. Prints one JSON object of what it saw.

In a process of its own, because the client reads its host from the environment when it is imported.
"""

import asyncio
import json
import os

import fal_client

APP = "queue/z-image-text-to-image"


def polled() -> dict[str, object]:
    """Submit, follow the events, read the result through the handle and again by the id alone."""
    handle = fal_client.submit(APP, arguments={"prompt": "a fox sleep=0.05", "width": 96, "height": 64, "seed": 5})
    events = list(handle.iter_events(with_logs=True, interval=0.05))
    by_id = fal_client.status(APP, handle.request_id, with_logs=False)
    return {
        "events": [type(event).__name__ for event in events],
        "logs": [len(event.logs or []) for event in events if not isinstance(event, fal_client.Queued)],
        "by_id": type(by_id).__name__,
        "logs_unasked": by_id.logs,
        "inference_time": by_id.metrics["inference_time"],
        "result": handle.get(),
        "result_by_id": fal_client.result(APP, handle.request_id),
    }


def subscribed() -> dict[str, object]:
    """The one-call way, with everything the client can be told about the queue meanwhile."""
    seen = []
    result = fal_client.subscribe(
        APP,
        arguments={"prompt": "a hen sleep=0.02", "width": "80", "height": "64", "batch_size": 2},
        with_logs=True,
        on_queue_update=lambda update: seen.append(type(update).__name__),
    )
    return {"seen": seen, "images": len(result["images"])}


def cancelled() -> dict[str, object]:
    """A request that waits behind a long one is cancelled; the long one cannot be."""
    long = fal_client.submit(APP, arguments={"prompt": "long sleep=0.3", "width": 64, "height": 64})
    waiting = fal_client.submit(APP, arguments={"prompt": "waiting", "width": 64, "height": 64})
    place = waiting.status().position
    waiting.cancel()
    ended = waiting.status()
    outcome: dict[str, object] = {"place": place, "ended": type(ended).__name__, "error_type": ended.error_type}
    while isinstance(long.status(), fal_client.Queued):
        pass
    for name, call in {"result_of_cancelled": waiting.get, "cancel_of_running": long.cancel}.items():
        try:
            call()
        except fal_client.FalClientHTTPError as error:
            outcome[name] = [error.status_code, error.error_type, str(error)]
    long.get()
    return outcome


def refused() -> list[object]:
    """Bad input is an error at once, with the reason."""
    try:
        fal_client.submit(APP, arguments={"prompt": "x", "heigth": 64})
    except fal_client.FalClientHTTPError as error:
        return [error.status_code, str(error)]
    return []


def limited() -> list[int]:
    """With a key of which one request may wait: the client makes those again that are refused for now."""
    client = fal_client.SyncClient(key=os.environ["LIMITED_KEY"])
    arguments = {"prompt": "a cat sleep=0.05", "width": 64, "height": 64}
    handles = [client.submit(APP, arguments=arguments) for _ in range(4)]
    return [len(handle.get()["images"]) for handle in handles]


async def asynchronously() -> dict[str, object]:
    """The asynchronous client, which follows no redirect."""
    handle = await fal_client.submit_async(APP, arguments={"prompt": "an owl", "width": 64, "height": 64, "seed": None})
    events = [type(event).__name__ async for event in handle.iter_events(with_logs=True, interval=0.05)]
    return {"last": events[-1], "images": len((await handle.get())["images"])}


print(  # noqa: T201 - this is what the test reads
    json.dumps(
        {
            "polled": polled(),
            "subscribed": subscribed(),
            "cancelled": cancelled(),
            "refused": refused(),
            "limited": limited(),
            "asynchronously": asyncio.run(asynchronously()),
        }
    )
)
