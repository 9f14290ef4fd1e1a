"""What a user of fal's Python client does. Prints one JSON object of what it saw.

In a process of its own, because the client reads its host from the environment when it is imported.
"""

import asyncio
import json
import os
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import fal_client

APP = "queue/z-image-text-to-image"
TURBO = "fal-ai/z-image/turbo"
UNKNOWN = "rn5r12q9pdu6yvb3nxty"
SMALL = {"width": 64, "height": 64}

warnings.simplefilter("ignore", UserWarning)  # the client's own, where it gives up before the service would


def refusal(call: Callable[..., object], *arguments: object, **named: object) -> list[object]:
    """Status, machine-readable type and text of what a call is refused with."""
    try:
        call(*arguments, **named)
    except fal_client.FalClientHTTPError as error:
        return [error.status_code, error.error_type, str(error)]
    return []


async def refusal_async(call: Awaitable[object]) -> list[object]:
    try:
        await call
    except fal_client.FalClientHTTPError as error:
        return [error.status_code, error.error_type, str(error)]
    return []


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
    """A request that waits behind a long one is cancelled, twice; the long one cannot be, nor what never was."""
    long = fal_client.submit(APP, arguments={"prompt": "long sleep=0.2", **SMALL})
    waiting = fal_client.submit(APP, arguments={"prompt": "waiting", **SMALL})
    place = waiting.status().position
    waiting.cancel()
    fal_client.cancel(APP, waiting.request_id)
    ended = waiting.status()
    while isinstance(long.status(), fal_client.Queued):
        pass
    running = refusal(long.cancel)
    long.get()
    return {
        "place": place,
        "ended": type(ended).__name__,
        "error_type": ended.error_type,
        "result_of_cancelled": refusal(waiting.get),
        "cancel_of_running": running,
        "cancel_of_finished": refusal(long.cancel),
        "cancel_of_unknown": refusal(fal_client.cancel, APP, UNKNOWN),
    }


def refused() -> dict[str, object]:
    """Bad input, and an id that there is not: errors at once, with the reason."""
    return {
        "input": refusal(fal_client.submit, APP, arguments={"prompt": "x", "heigth": 64}),
        "status_of_unknown": refusal(fal_client.status, APP, UNKNOWN),
        "result_of_unknown": refusal(fal_client.result, APP, UNKNOWN),
    }


def failed() -> dict[str, object]:
    """What the model refuses and what breaks it: ended for the status, errors for the result."""
    outcome: dict[str, object] = {}
    for name, prompt in {"unable": "refuse 狐 and 🦊", "broken": "please"}.items():
        handle = fal_client.submit(APP, arguments={"prompt": prompt, **SMALL})
        result = refusal(handle.get)
        status = handle.status(with_logs=True)
        outcome[name] = {"result": result, "error": status.error, "log": status.logs[-1]["message"]}
    return outcome


def timed_out() -> dict[str, object]:
    """Waiting for less time than the queue takes."""
    long = fal_client.submit(APP, arguments={"prompt": "long sleep=0.15", **SMALL})
    outcome: dict[str, object] = {}
    try:
        arguments = {"prompt": "waiting", **SMALL}
        fal_client.subscribe(APP, arguments=arguments, client_timeout=0.3, start_timeout=60)
    except fal_client.FalClientTimeoutError as error:
        outcome = {"timeout": error.timeout, "then": fal_client.status(APP, error.request_id).error_type}
    long.get()
    return outcome


def late() -> dict[str, object]:
    """What may wait for a second, and has to wait longer."""
    long = fal_client.submit(APP, arguments={"prompt": "long sleep=0.2", **SMALL})
    waiting = fal_client.submit(APP, arguments={"prompt": "waiting", **SMALL}, start_timeout=1.1)
    result = refusal(waiting.get)
    long.get()
    return {"result": result, "ended": waiting.status().error_type}


def ran() -> dict[str, object]:
    """The call without a queue."""
    result = fal_client.run(APP, arguments={"prompt": "a hen", **SMALL})
    return {"images": len(result["images"]), "refused": refusal(fal_client.run, APP, arguments={"prompt": ""})}


def by_id() -> dict[str, object]:
    """fal's own id with fal's own arguments."""
    seen = []
    result = fal_client.subscribe(
        TURBO,
        arguments={"prompt": "a hen", "image_size": "landscape_4_3", "num_images": 2, "seed": None},
        on_queue_update=lambda update: seen.append(type(update).__name__),
    )
    small = {"prompt": "a hen", "image_size": SMALL}
    long = fal_client.submit(TURBO, arguments={**small, "prompt": "long sleep=0.1"})
    waiting = fal_client.submit(TURBO, arguments=small)
    fal_client.cancel(TURBO, waiting.request_id)
    cancelled = refusal(waiting.get)
    long.get()
    return {
        "seen": seen,
        "result": result,
        "inline": fal_client.run(TURBO, arguments={**small, "sync_mode": True})["images"][0]["url"][:22],
        "by_id": type(fal_client.status(TURBO, long.request_id)).__name__,
        "cancelled": cancelled,
        "bad": refusal(fal_client.submit, TURBO, arguments={"prompt": "x", "num_images": 0}),
        "key": refusal(fal_client.SyncClient(key="pk_of_nobody").submit, TURBO, arguments=small),
        "app": refusal(fal_client.submit, "fal-ai/flux/dev", arguments=small),
        "limited": len(limited(TURBO, {"prompt": "a cat sleep=0.02", "image_size": SMALL}, 2)),
    }


def uploaded() -> dict[str, object]:
    """With the two assignments that the documentation names."""
    fal_client.client.REST_URL = f"https://{os.environ['FAL_QUEUE_RUN_HOST']}/rest"
    fal_client.client.CDN_URL = f"https://{os.environ['FAL_QUEUE_RUN_HOST']}/cdn"
    image = Path(os.environ["IMAGE"])
    urls = [
        fal_client.upload_file(image),
        fal_client.upload(image.read_bytes(), "image/png", lifecycle=fal_client.StorageSettings(expires_in="1h")),
        fal_client.upload(image.read_bytes(), "image/png", repository="fal"),
        asyncio.run(fal_client.upload_file_async(image)),
    ]
    edits = [fal_client.submit(f"{TURBO}/image-to-image", arguments={"prompt": "a", "image_url": url}) for url in urls]
    return {
        "sizes": [[image["width"], image["height"]] for edit in edits for image in edit.get()["images"]],
        "large": refusal(fal_client.upload, bytes(100 * 1024 * 1024 + 1), "image/png"),
        "svg": refusal(fal_client.upload, b"<svg/>", "image/svg+xml"),
    }


def limited(app: str, arguments: dict[str, object], count: int) -> list[int]:
    """With a key of which one request may wait: the client makes those again that are refused for now."""
    client = fal_client.SyncClient(key=os.environ["LIMITED_KEY"])
    handles = [client.submit(app, arguments=arguments) for _ in range(count)]
    return [len(handle.get()["images"]) for handle in handles]


async def asynchronously() -> dict[str, object]:
    """The asynchronous client, which follows no redirect: all of the above."""
    arguments = {"prompt": "an owl", "seed": None, **SMALL}
    handle = await fal_client.submit_async(APP, arguments=arguments)
    events = [type(event).__name__ async for event in handle.iter_events(with_logs=True, interval=0.05)]
    images = len((await handle.get())["images"])
    by_id = await fal_client.status_async(APP, handle.request_id, with_logs=True)
    result = await fal_client.result_async(APP, handle.request_id)

    long = await fal_client.submit_async(APP, arguments={"prompt": "long sleep=0.15", **SMALL})
    waiting = await fal_client.submit_async(APP, arguments={"prompt": "waiting", **SMALL})
    await fal_client.cancel_async(APP, waiting.request_id)
    try:
        await fal_client.subscribe_async(APP, arguments=arguments, client_timeout=0.3, start_timeout=60)
        timed_out = ""
    except fal_client.FalClientTimeoutError as error:
        timed_out = (await fal_client.status_async(APP, error.request_id)).error_type
    await long.get()

    unable = await fal_client.submit_async(APP, arguments={"prompt": "refuse", **SMALL})
    broken = await fal_client.submit_async(APP, arguments={"prompt": "please", **SMALL})
    return {
        "last": events[-1],
        "images": images,
        "by_id": [type(by_id).__name__, len(by_id.logs)],
        "same": result["image"]["file_name"] == (await handle.get())["image"]["file_name"],
        "subscribed": len((await fal_client.subscribe_async(APP, arguments=arguments))["images"]),
        "ran": len((await fal_client.run_async(APP, arguments=arguments))["images"]),
        "timed_out": timed_out,
        "result_of_cancelled": await refusal_async(waiting.get()),
        "cancel_of_finished": await refusal_async(long.cancel()),
        "cancel_of_unknown": await refusal_async(fal_client.cancel_async(APP, UNKNOWN)),
        "unable": await refusal_async(unable.get()),
        "broken": await refusal_async(broken.get()),
        "input": await refusal_async(fal_client.submit_async(APP, arguments={"prompt": "x", "heigth": 64})),
    }


print(  # noqa: T201 - this is what the test reads
    json.dumps(
        {
            "polled": polled(),
            "subscribed": subscribed(),
            "cancelled": cancelled(),
            "refused": refused(),
            "failed": failed(),
            "timed_out": timed_out(),
            "late": late(),
            "ran": ran(),
            "limited": limited(APP, {"prompt": "a cat sleep=0.05", **SMALL}, 4),
            "by_id": by_id(),
            "uploaded": uploaded(),
            "asynchronously": asyncio.run(asynchronously()),
        }
    )
)
