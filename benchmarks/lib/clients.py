"""Many users at once, in a process of their own: some submit, each time on a new connection; some poll on a kept one.

What they see is the time from when a call was due: a server that answers late cannot hide it by being called less
often.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import uvloop

from benchmarks.lib.service import ROOT

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    due_at: float
    """Seconds since the epoch."""
    seconds: float
    """Seconds from then until the whole answer was there."""
    status: int
    """HTTP status; 0 where the connection broke, or no answer came in a minute."""
    body: str


def submit(port: int, requests: Sequence[bytes], *, users: int) -> list[Answer]:
    """Each user sends a request as soon as the last one is answered. The answers have the order of `requests`."""
    return _run({"port": port, "requests": _as_text(requests), "users": users})


def poll(port: int, requests: Sequence[bytes], *, every: float, seconds: float) -> list[Answer]:
    """A user for each of `requests` sends it again and again."""
    return _run({"port": port, "requests": _as_text(requests), "every": every, "seconds": seconds})


def _as_text(requests: Sequence[bytes]) -> list[str]:
    return [request.decode("latin-1") for request in requests]


def _run(order: dict[str, object]) -> list[Answer]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "benchmarks.lib.clients"]
    ended = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True, env=environment)
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    return [Answer(**answer) for answer in json.loads(ended.stdout)]


async def _submit(port: int, requests: list[bytes], users: int) -> list[Answer]:
    answers: list[Answer | None] = [None] * len(requests)
    waiting = iter(range(len(requests)))

    async def one_user() -> None:
        for number in waiting:
            answers[number] = await _call(port, requests[number], time.time())

    await asyncio.gather(*(one_user() for _ in range(users)))
    return [answer for answer in answers if answer is not None]


async def _call(port: int, request: bytes, due_at: float) -> Answer:
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                status, body = await _exchange(reader, writer, request)
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError):
        return Answer(due_at, time.time() - due_at, 0, "")
    return Answer(due_at, time.time() - due_at, status, body)


async def _poll(port: int, requests: list[bytes], every: float, seconds: float) -> list[Answer]:
    answers = []
    until = time.time() + seconds

    async def one_user(number: int, request: bytes) -> None:
        due_at = time.time() + every * number / len(requests)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while due_at < until:
            await asyncio.sleep(max(0.0, due_at - time.time()))
            try:
                async with asyncio.timeout(_PATIENCE):
                    status, body = await _exchange(reader, writer, request)
            except (OSError, EOFError, TimeoutError):
                status, body = 0, ""
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answers.append(Answer(due_at, time.time() - due_at, status, body))
            due_at += every
        writer.close()

    await asyncio.gather(*(one_user(number, request) for number, request in enumerate(requests)))
    return answers


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, str]:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    at = head.index(b"content-length:") + 15
    body = await reader.readexactly(int(head[at : head.index(b"\r", at)]))
    return int(head[9:12]), body.decode()


if __name__ == "__main__":
    order_ = json.loads(sys.stdin.read())
    order_["requests"] = [text.encode("latin-1") for text in order_["requests"]]
    found_ = uvloop.run(_submit(**order_) if "users" in order_ else _poll(**order_))
    json.dump([asdict(answer) for answer in found_], sys.stdout)
