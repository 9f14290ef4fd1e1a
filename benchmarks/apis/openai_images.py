"""OpenAI's API: the time of a generation next to the same request by the queue, and what calls that wait cost.

Both ways take turns, so that a slow moment slows both. By the queue: submit, the stream of its status until
the end, the result, and the file; both callers then have the bytes of the image.
"""

import asyncio
import base64
import http.client
import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import cyclopts
import psutil

from benchmarks.lib import load
from benchmarks.lib.service import APP, Service, scratch, serving
from benchmarks.lib.table import Line, Ratio, in_ms, load_now, median, percentile, show

_MAX_DIFFERENCE = 0.005
"""Seconds."""
_MAX_KIB = 60
_USERS = 10
_AT_ONCE = 100
_PATH = "/v1/images/generations"
_PROMPT = "a red apple on a light blue background"
_MAX_SENT_MIB = 16


@dataclass
class _Calls:
    """Calls by one of the two ways."""

    seconds: list[float] = field(default_factory=list)
    after_end: list[float] = field(default_factory=list)
    """Seconds from the end of the request until its caller has the image."""

    def add(self, service: Service, began: float) -> None:
        """Note a call that has just ended."""
        now = time.time()
        self.seconds.append(now - began)
        connection = http.client.HTTPConnection("127.0.0.1", service.port)
        [newest] = json.loads(_call(connection, "GET", "/api/v1/requests?limit=1", service.key))["items"]
        connection.close()
        self.after_end.append(now - datetime.fromisoformat(newest["finished_at"]).timestamp())


def main(
    *,
    pairs: int = 100,
    waiting: int = 500,
    images: int = 16,
    width: int = 3200,
    height: int = 2000,
    backend: str | None = None,
) -> None:
    """
    Parameters
    ----------
    pairs
        Generations by OpenAI's API, and as many by the queue.
    waiting
        Calls that wait at the same time.
    images
        Images in the response whose memory is measured.
    width, height
        Pixels of these images.
    backend
        Backend that generates in place of the demo model.
    """
    before = load_now()
    with scratch() as folder, serving(folder / "data", backend=backend) as service:
        lines = _measure_pairs(service, pairs)
        lines += _measure_result(service, images, width, height)
        lines += _measure_waiting(service, waiting)
    show(f"OpenAI's API, medians of {pairs} pairs, {waiting} waiting calls", lines, load=before)


def _measure_pairs(service: Service, pairs: int) -> list[Line]:
    by_openai, by_queue = _Calls(), _Calls()
    turns = [(by_openai, _by_openai), (by_queue, _by_queue)]
    _by_openai(service, 0)  # the first one waits for the model
    for seed in range(1, pairs + 1):
        for calls, call in turns:
            began = time.time()
            call(service, seed)
            calls.add(service, began)
        turns.reverse()  # what the one before leaves behind is not always for the same one
    one, other = median(by_openai.seconds), median(by_queue.seconds)
    p99 = f"p99 {in_ms(percentile(by_openai.seconds, 0.99))} and {in_ms(percentile(by_queue.seconds, 0.99))}"
    end, other_end = median(by_openai.after_end), median(by_queue.after_end)
    return [
        Line("a generation of 256x256 by the queue", in_ms(other)),
        Line(
            "… by OpenAI's API",
            in_ms(one),
            f"{in_ms(abs(one - other))} {'more' if one > other else 'less'}; {p99}",
            f"≤ {in_ms(_MAX_DIFFERENCE)} apart",
            abs(one - other) <= _MAX_DIFFERENCE,
        ),
        Line(
            "… from the end of the request to the image",
            in_ms(end),
            f"{end / other_end:.2f} times the {in_ms(other_end)} by the queue",
            ratio=Ratio(end / other_end),
        ),
    ]


def _by_openai(service: Service, seed: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    body = {"prompt": _PROMPT, "size": "256x256", "seed": seed, "response_format": "b64_json"}
    found = _call(connection, "POST", _PATH, service.key, body)
    assert base64.b64decode(json.loads(found)["data"][0]["b64_json"])[1:4] == b"PNG"
    connection.close()


def _by_queue(service: Service, seed: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    body = {"prompt": _PROMPT, "width": 256, "height": 256, "seed": seed}
    submitted = json.loads(_call(connection, "POST", f"/fal/queue/{APP}", service.key, body))
    path = urlsplit(submitted["response_url"]).path
    _call(connection, "GET", f"{path}/status/stream", service.key)
    result = json.loads(_call(connection, "GET", path, service.key))
    file = urlsplit(result["images"][0]["url"])
    assert _call(connection, "GET", f"{file.path}?{file.query}", service.key)[1:4] == b"PNG"
    connection.close()


def _call(
    connection: http.client.HTTPConnection, method: str, path: str, key: str, body: dict[str, Any] | None = None
) -> bytes:
    """The body of a response, read to its end."""
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    found = response.read()
    assert response.status < 300, found
    return found


def _measure_waiting(service: Service, count: int) -> list[Line]:
    """Calls of several users, for an app that is paused."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    _call(connection, "POST", f"/api/v1/operate/apps/{APP}/pause", service.key)
    connection.close()
    keys = [service.new_key(f"user{number}") for number in range(min(_USERS, count))]
    kib = asyncio.run(_memory_of_waiting(service, keys, count)) / 1024
    what = f"memory of a generation that waits, of {count}"
    return [Line(what, f"{kib:.1f} KiB", "", f"≤ {_MAX_KIB} KiB", kib <= _MAX_KIB)]


async def _memory_of_waiting(service: Service, keys: list[str], count: int) -> float:
    """Bytes of the API's process for each call."""
    raws = [load.request("POST", _PATH, key, {"prompt": _PROMPT, "size": "64x64"}) for key in keys]
    opened = [await _open(service, raws[0])]  # what the first one imports is not of its kind
    await _await_queued(service, keys[0], 1)
    before = _memory(service.pid)
    for begin in range(0, count, _AT_ONCE):
        numbers = range(begin, min(begin + _AT_ONCE, count))
        opened += await asyncio.gather(*(_open(service, raws[number % len(raws)]) for number in numbers))
    await _await_queued(service, keys[0], count + 1)
    after = _memory(service.pid)
    for writer in opened:
        writer.transport.abort()
    return (after - before) / count


async def _open(service: Service, raw: bytes) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(raw)
    return writer


async def _await_queued(service: Service, key: str, count: int) -> None:
    """Wait until `count` requests of all users are queued, then a moment for what their submits leave behind."""
    caller = load.Caller(service.port)
    while True:
        _, body = await asyncio.to_thread(caller, load.request("GET", "/api/v1/operate/overview", key))
        if sum(app["queued"] for app in body["apps"]) >= count:
            break
        await asyncio.sleep(0.05)
    caller.close()
    await asyncio.sleep(min(1.0, count / 50))


def _measure_result(service: Service, images: int, width: int, height: int) -> list[Line]:
    """The API's memory while a large result is sent to a client that reads it slowly."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    body = json.dumps({"prompt": _PROMPT, "n": images, "size": f"{width}x{height}", "model": "gpt-image-1"})
    connection.request("POST", _PATH, body, {"Authorization": f"Bearer {service.key}"})
    response = connection.getresponse()
    size, before, peak = 0, _memory(service.pid), 0
    while piece := response.read(1024 * 1024):
        size += len(piece)
        peak = max(peak, _memory(service.pid))
    assert response.status == 200
    connection.close()
    grown = (peak - before) / 1024**2
    return [
        Line(
            f"memory of a result of {size / 1024**2:.1f} MiB while it is sent, {images} images",
            f"{grown:.1f} MiB",
            "",
            f"≤ {_MAX_SENT_MIB} MiB",
            grown <= _MAX_SENT_MIB,
        )
    ]


def _memory(pid: int) -> int:
    """Bytes that the process does not share."""
    return int(psutil.Process(pid).memory_full_info().uss)


if __name__ == "__main__":
    cyclopts.run(main)
