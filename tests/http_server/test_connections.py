"""How many connections there may be, and how long one may take."""

import asyncio
import contextlib
import gc
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
import structlog

from pipelet.http_server.closing import Drain
from pipelet.http_server.protocol import Protocol
from tests.http_server.echo import HOST, LARGE, Running, running
from tests.support.waiting import until

GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
EARLY = b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000000\r\n"


@pytest.fixture
def log() -> Iterator[list[dict[str, object]]]:
    with structlog.testing.capture_logs() as lines:
        yield lines  # type: ignore[misc]


async def test_a_head_has_to_arrive_in_time() -> None:
    """Half a head gets a 408; a connection without a byte is closed; dripping does not help."""
    async with running(head_seconds=0.3) as server, AsyncExitStack() as stack:
        silent, half, dripping, kept = [await stack.enter_async_context(server.connected()) for _ in range(4)]
        await half.send(GET[:20])
        await kept.send(GET)
        assert 200 == (await kept.response()).status
        drips = [bytes([byte]) for byte in b"\r\n" * 3 + GET[:20]]
        with contextlib.suppress(ConnectionError):
            await dripping.send(*drips)

        assert [408, 408] == [(await each.response()).status for each in (half, dripping)]
        assert await silent.is_closed()
        await kept.send(GET)
        assert 200 == (await kept.response()).status
        await kept.send(b"\r\n")
        assert await kept.is_closed()


async def test_a_body_may_not_stall() -> None:
    """One that stops is a 408, with or without a first byte, and its handler ends; one that arrives slowly is read."""
    async with running(body_idle_seconds=0.5) as server, AsyncExitStack() as stack:
        silent, half, dripping = [await stack.enter_async_context(server.connected()) for _ in range(3)]
        head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 40\r\n\r\n"
        await silent.send(head)
        await half.send(head, b"half")
        await dripping.send(head, *[b"a"] * 40)

        assert [408, 408, 200] == [(await each.response()).status for each in (silent, half, dripping)]


async def test_more_connections_than_there_may_be(log: list[dict[str, object]]) -> None:
    """Those beyond are told so and closed; when another ends there is room again; the log has one line."""
    async with running(max_connections=4) as server:
        async with AsyncExitStack() as stack:
            for _ in range(4):
                await (await stack.enter_async_context(server.connected())).send(GET[:5])
            await until(lambda: len(server.server.server_state.connections) == 4)
            refused = [await server.ask(GET) for _ in range(3)]

        assert [(503, "5", "close")] * 3 == [
            (each.status, each.headers["retry-after"], each.headers["connection"]) for each in refused
        ]
        await server.until_idle()
        assert 200 == (await server.ask(GET)).status
    assert ["http.connections_exhausted"] == [line["event"] for line in log]


async def test_one_address_has_a_quarter() -> None:
    """Unless it is a trusted proxy's, as in the test above."""
    async with running(max_connections=8, trusted_proxies=[]) as server, AsyncExitStack() as stack:
        first, second, third = [await stack.enter_async_context(server.connected()) for _ in range(3)]
        assert 503 == (await third.response()).status
        for each in (first, second):
            await each.send(GET)
            assert 200 == (await each.response()).status


async def test_unfinished_heads_of_one_address() -> None:
    """One that is no proxy has a quarter of what there is for all."""
    async with running(unfinished_heads_bytes=2**15, trusted_proxies=[]) as server, AsyncExitStack() as stack:
        each = [await stack.enter_async_context(server.connected()) for _ in range(2)]
        for connection in each:
            await connection.send(b"GET / HTTP/1.1\r\na: " + b"b" * 6_000)
        assert 503 == (await each[1].response()).status
        await each[0].send(b"\r\n" + HOST + b"\r\n")
        assert 200 == (await each[0].response()).status


async def test_what_follows_the_last_response_gets_none(caplog: pytest.LogCaptureFixture) -> None:
    """A request behind the body that an early refusal did not wait for is dropped, and nothing crashes of it."""
    expecting = EARLY.replace(b"1000000000", b"1") + b"Expect: 100-continue\r\n\r\n"
    async with running() as server, server.connected() as connection:
        await connection.send(expecting)
        assert 401 == (await connection.response()).status
        await connection.send(b"hGET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert await connection.is_closed()

    assert "" == caplog.text


async def test_heads_of_all_connections_together() -> None:
    """They are bounded as long as they are unfinished."""
    async with running(unfinished_heads_bytes=2**15, trusted_proxies=None) as server, AsyncExitStack() as stack:
        each = [await stack.enter_async_context(server.connected()) for _ in range(3)]
        for connection in each:
            await connection.send(b"GET / HTTP/1.1\r\na: " + b"b" * 12_000)
        assert 503 == (await each[2].response()).status
        await each[0].send(b"\r\n" + HOST + b"\r\n")
        assert 200 == (await each[0].response()).status
        assert 200 == (await server.ask(GET[:5], GET[5:])).status


async def drain(server: Running, piece: bytes, pieces: int, pause: float) -> int:
    """How many pieces were taken after the response, until the connection was closed."""
    async with server.connected() as connection:
        await connection.send(EARLY + b"Connection: close\r\n\r\n")
        assert 401 == (await connection.response()).status
        for number in range(pieces):
            try:
                await connection.send(piece)
            except ConnectionError:
                return number
            await asyncio.sleep(pause)
        return pieces


async def test_a_body_is_drained_within_bounds() -> None:
    """Limits of bytes, of seconds in all, and of seconds without a byte; then the connection is closed."""
    async with running(drain_bytes=2**20, drain_seconds=0.6, drain_idle_seconds=0.2) as server:
        too_much, too_long, too_slow = await asyncio.gather(
            drain(server, bytes(2**16), 1000, 0.0),
            drain(server, b"a", 100, 0.05),
            drain(server, b"a", 5, 0.4),
        )

        assert 2**20 // 2**16 <= too_much < 1000
        assert 5 <= too_long < 20
        assert too_slow < 4
        await server.until_idle()


async def test_a_body_is_drained_on_a_kept_connection() -> None:
    """Within the same bounds, and then the next request is read."""
    async with running(drain_idle_seconds=0.2) as server, AsyncExitStack() as stack:
        whole, stopped = [await stack.enter_async_context(server.connected()) for _ in range(2)]
        for each in (whole, stopped):
            await each.send(b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 300000\r\n\r\n" + bytes(200_000))
            assert (401, None) == ((response := await each.response()).status, response.headers.get("connection"))
        await whole.send(bytes(100_000) + GET)
        assert 200 == (await whole.response()).status
        assert await stopped.is_closed()


async def test_so_many_are_drained_at_once() -> None:
    """One more is closed at once."""
    async with running(draining_connections=1) as server, AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(server.connected()) for _ in range(2)]
        for each in (first, second):
            await each.send(EARLY + b"\r\n")
            assert 401 == (await each.response()).status
        assert await second.is_closed()
        assert not await first.is_closed(within=0.1)


async def test_a_response_that_is_not_read() -> None:
    """It waits for its reader, in bounded memory, and not forever; one that reads on slowly gets it all."""
    async with running(write_stall_seconds=0.4) as server, AsyncExitStack() as stack:
        stalled, slow = [await stack.enter_async_context(server.connected()) for _ in range(2)]
        for each in (stalled, slow):
            await each.send(b"GET /large HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")

        assert await slow.rest(pause=0.2) > LARGE
        await server.until_idle()
        assert 2 == server.app.ended


async def test_nothing_is_left_of_connections_that_ended(caplog: pytest.LogCaptureFixture) -> None:
    """Refused ones, and those whose clients disconnected during the response, or before."""
    async with running() as server:
        for sent in (b"no HTTP\r\n\r\n", EARLY + b"\r\n", EARLY + b"Connection: close\r\n\r\n" + bytes(2**17)) * 3:
            for waits in (True, False):
                async with server.connected() as connection:
                    await connection.send(sent)
                    if waits:
                        await connection.response()
                    connection.reset()
        await server.until_idle()
        gc.collect()
        # By type, not `isinstance`: that asks the classes of other libraries' objects, which may warn.
        left = [each for each in gc.get_objects() if type(each) in (Protocol, Drain)]

    assert [] == left
    assert "" == caplog.text


async def test_no_more_files(log: list[dict[str, object]]) -> None:
    """The server waits, says so once, and continues by itself when clients have left."""
    async with running(accept_pause_seconds=0.1, max_connections=1000) as server:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        with at_most_open_files(5):
            await until(lambda: log)
            used = time.process_time()
            await asyncio.sleep(0.5)  # it tries some five times, where asyncio's own loop would some thousand times
            used = time.process_time() - used
            for client in clients:
                client.close()
            assert 200 == (await server.ask(GET)).status

    assert ["http.accept_failed"] == [line["event"] for line in log]
    assert used < 0.3


@contextlib.contextmanager
def at_most_open_files(more: int) -> Iterator[None]:
    """So many as now, and these."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
