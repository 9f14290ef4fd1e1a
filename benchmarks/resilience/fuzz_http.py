"""The edge of HTTP against clients that send anything: 100,000 inputs, and what they do to the server and to others.

    python -m benchmarks.resilience.fuzz_http --inputs 100000

Exits with 1 where the server died, answered 5xx, logged a crash, or a bound was missed.
"""

import asyncio
import contextlib
import json
import multiprocessing
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

import cyclopts
import psutil

from benchmarks.lib import load
from benchmarks.lib.http_inputs import Ending, Input, Maker
from benchmarks.lib.service import Service, scratch, serving
from benchmarks.lib.table import Line, in_ms, load_now, percentile, show
from pipelet.http_server.tls import ALERT

_CLIENTS = 4
_QUIET_SECONDS = 3.0
_EVERY = 0.02
"""Seconds between two polls of the other user."""
_PATIENCE = 0.05
"""Seconds of waiting for an answer, where none may come."""
_IDLE_SECONDS = 0.5
_MOST_MIB = 100
_MOST_TIMES = 3.0
_CRASHES = ("request.crashed", "Traceback", "Exception in ASGI", "exception was never retrieved")


@dataclass
class Found:
    inputs: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    server_errors: list[tuple[str, bytes]] = field(default_factory=list)
    malformed: list[tuple[str, bytes]] = field(default_factory=list)
    """Answers that are no HTTP."""


def main(*, inputs: int = 100_000, seed: int = 1) -> None:
    """
    Parameters
    ----------
    inputs
        Inputs that are sent.
    seed
        Chooses the inputs.
    """
    before = load_now()
    lines, notes = measure(inputs=inputs, seed=seed)
    show(f"{inputs:,} inputs to the HTTP server, seed {seed}", lines, load=before, notes=notes)
    sys.exit(0 if all(line.met is not False for line in lines) else 1)


def measure(*, inputs: int, seed: int, quiet_seconds: float = _QUIET_SECONDS) -> tuple[list[Line], list[str]]:
    with scratch() as folder, serving(folder / "data", workers=0) as service:
        caller = load.Caller(service.port)
        request_id = caller(load.submission(service.key))[1]["request_id"]
        caller.close()
        raw = load.status(service.key, request_id)
        with polled(service, raw) as quiet:
            time.sleep(quiet_seconds)
        memory = load.resident_bytes(service.pid)
        maker = Maker(random.Random(seed), service.key, request_id)
        began = time.monotonic()
        with polled(service, raw) as busy:
            found = asyncio.run(send_all(service.port, maker, inputs))
        seconds = time.monotonic() - began
        is_alive = psutil.pid_exists(service.pid) and _is_well(service)
        peak = max(size for _, size in busy)
        log = (folder / "data.log").read_text()
    crashes = sum(log.count(each) for each in _CRASHES)
    lines = _lines(found, quiet, busy, memory=memory, peak=peak, crashes=crashes, is_alive=is_alive)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.inputs.items()))
    statuses = ", ".join(f"{count:,} × {status}" for status, count in sorted(found.statuses.items()))
    bad = [f"{kind}: {answer[:200]!r}" for kind, answer in [*found.server_errors, *found.malformed][:5]]
    notes = [
        f"{inputs / seconds:,.0f} inputs a second, {_CLIENTS} at a time; {len(log):,} bytes of log.",
        kinds,
        statuses,
    ]
    return lines, [*notes, *bad]


def _lines(
    found: Found,
    quiet: list[tuple[float, int]],
    busy: list[tuple[float, int]],
    *,
    memory: int,
    peak: int,
    crashes: int,
    is_alive: bool,
) -> list[Line]:
    errors, malformed = len(found.server_errors), len(found.malformed)
    lines = [
        Line("server alive and well afterwards", "yes" if is_alive else "no", "", "yes", is_alive),
        Line("crashes in its log", str(crashes), "", "0", crashes == 0),
        Line("answers of 5xx", str(errors), f"of {found.statuses.total():,} answers", "0", errors == 0),
        Line("answers that are no HTTP", str(malformed), "", "0", malformed == 0),
    ]
    more = (peak - memory) / 2**20
    reference = f"{more:+.0f} MiB"
    lines.append(
        Line("its memory at most", f"{peak / 2**20:.0f} MiB", reference, f"≤ +{_MOST_MIB} MiB", more <= _MOST_MIB)
    )
    for name, share in (("median", 0.5), ("p99", 0.99)):
        before, during = (percentile([seconds for seconds, _ in polls], share) for polls in (quiet, busy))
        times = during / before
        goal, met = (f"≤ {_MOST_TIMES:g} times", times <= _MOST_TIMES) if share == 0.5 else ("", None)
        value, reference = in_ms(during), f"{times:.2f} times {in_ms(before)} in quiet"
        lines.append(Line(f"status for another user, {name}", value, reference, goal, met))
    return lines


@contextlib.contextmanager
def polled(service: Service, raw: bytes) -> Iterator[list[tuple[float, int]]]:
    """Poll as another user, in a process of its own: seconds of each poll, and bytes that the server then has.

    The list is filled at the end.
    """
    context = multiprocessing.get_context("spawn")
    stop, (results, theirs) = context.Event(), context.Pipe(duplex=False)
    process = context.Process(target=_poll, args=(service, raw, stop, theirs))
    process.start()
    polls: list[tuple[float, int]] = []
    results.recv()  # it has begun
    try:
        yield polls
    finally:
        stop.set()
        polls += results.recv()
        process.join()


def _poll(service: Service, raw: bytes, stop: Event, results: Connection) -> None:
    caller, polls = load.Caller(service.port), list[tuple[float, int]]()
    results.send(None)
    while not stop.wait(_EVERY):
        began = time.perf_counter()
        status, _ = caller(raw)
        assert status in (200, 202), status
        polls.append((time.perf_counter() - began, load.resident_bytes(service.pid)))
    caller.close()
    results.send(polls)


def _is_well(service: Service) -> bool:
    caller = load.Caller(service.port)
    status, body = caller(load.request("GET", "/health/ready", service.key))
    caller.close()
    return status == 200 and body["status"] == "ready"


async def send_all(port: int, maker: Maker, inputs: int) -> Found:
    found = Found()
    idle: set[asyncio.Task[None]] = set()
    left = iter(range(inputs))

    async def one_client() -> None:
        for _ in left:
            await _send(port, maker.next(), found, idle)

    await asyncio.gather(*(one_client() for _ in range(_CLIENTS)))
    await asyncio.gather(*idle)
    return found


async def _send(port: int, given: Input, found: Found, idle: set[asyncio.Task[None]]) -> None:
    found.inputs[given.kind] += 1
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return
    with contextlib.suppress(OSError):  # the server may end the connection at any time
        for piece in given.pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        if given.ending is Ending.IDLE:
            task = asyncio.create_task(_close_later(writer))
            idle.add(task)
            task.add_done_callback(idle.discard)
            return
        if given.ending is Ending.HALF_CLOSE:
            writer.write_eof()
    if given.ending is Ending.RESET:
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)  # closed so, a connection is reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        return
    try:
        await _read(reader, given, found)
    finally:
        writer.close()


async def _close_later(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(_IDLE_SECONDS)
    writer.close()


async def _read(reader: asyncio.StreamReader, given: Input, found: Found) -> None:
    for _ in range(given.answers):
        head, body = b"", b""
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
            async with asyncio.timeout(10):
                status, length = _parsed(head)
                body = await _body(reader, length if given.has_bodies and status != 304 else 0)
        except (TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            # No answer, or no more of it: fine for what is no request, or where the connection was reset.
            partial = getattr(error, "partial", b"")
            if (head or partial) and not (given.kind == "no HTTP" and partial == ALERT):  # its input began like TLS
                found.malformed.append((given.kind, repr(error).encode() + head))
            return
        except ValueError:
            found.malformed.append((given.kind, head))
            return
        found.statuses[status] += 1
        if status >= 500 and not _is_a_cap(status, body):
            found.server_errors.append((given.kind, head + body))


def _parsed(head: bytes) -> tuple[int, int | None]:
    """Status, and length of the body, or None where it comes in chunks."""
    version, status, *_ = head.split(b"\r\n", 1)[0].split(b" ")
    if version != b"HTTP/1.1" or not 100 <= int(status) <= 599:
        raise ValueError
    at = head.lower().find(b"\r\ncontent-length:")
    if at >= 0:
        return int(status), int(head[at + 17 :].split(b"\r\n", 1)[0])
    return int(status), None if b"transfer-encoding: chunked" in head.lower() else 0


async def _body(reader: asyncio.StreamReader, length: int | None) -> bytes:
    if length is not None:
        return await reader.readexactly(length)
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


def _is_a_cap(status: int, body: bytes) -> bool:
    with contextlib.suppress(ValueError):
        return status == 503 and "too many connections" in json.loads(body)["message"]
    return False


if __name__ == "__main__":
    cyclopts.run(main)
