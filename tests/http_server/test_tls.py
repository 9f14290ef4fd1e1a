"""TLS on the port for it, and on the port for plain HTTP."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.http_server.echo import HOST, LARGE, running
from tests.support.servers.tcp import tls_context

GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
CLIENT_HELLO = bytes.fromhex("1603010200010001fc0303")
ALERT = bytes.fromhex("15030100020228")
"""A fatal handshake failure."""


@pytest.fixture
def log() -> Iterator[list[dict[str, object]]]:
    with structlog.testing.capture_logs() as lines:
        yield lines  # type: ignore[misc]


@pytest.fixture
def server_context(tmp_path: Path) -> ssl.SSLContext:
    return tls_context(tmp_path / "authority.pem", "127.0.0.1")


@pytest.fixture
def client_context(tmp_path: Path, server_context: ssl.SSLContext) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=tmp_path / "authority.pem")


async def test_requests_over_tls(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    """Kept connections, large responses, and the scheme that URLs are made from."""
    async with running(tls=server_context) as server, server.connected(client_context) as connection:
        for _ in range(2):
            await connection.send(GET)
            assert "https" == (await connection.response()).json()["scheme"]
        await connection.send(b"GET /large HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert await connection.rest(pause=0) > LARGE


async def test_an_early_response_over_tls(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    """A client that still sends its body can read the response, though TLS has no end of one direction."""
    body = bytes(2**20)
    head = b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    async with running(tls=server_context) as server, server.connected(client_context) as connection:
        await connection.send(head, body[: 2**18], body[2**18 :])

        assert 401 == (await connection.response()).status
        assert await connection.is_closed()


async def test_handshakes_are_bounded(server_context: ssl.SSLContext, log: list[dict[str, object]]) -> None:
    """One that does not end is closed in time. Beyond their number, more of an address are closed at once."""
    async with running(tls=server_context, tls_handshakes=4, tls_handshake_seconds=1, trusted_proxies=()) as server:
        async with server.connected() as first, server.connected() as second:
            await first.send(CLIENT_HELLO)
            assert await second.is_closed(within=0.8)
            assert await first.is_closed()
        assert ["http.handshakes_exhausted"] == [line["event"] for line in log]


async def test_plain_http_on_the_port_for_tls(server_context: ssl.SSLContext, log: list[dict[str, object]]) -> None:
    """The connection is closed, and the log says so once."""
    async with running(tls=server_context) as server:
        for _ in range(2):
            async with server.connected() as connection:
                await connection.send(GET)
                await connection.is_closed()
        await server.until_idle()

    assert [("http.plain_refused", "127.0.0.1 speaks plain HTTP to a port for TLS. Use https://.")] == [
        (line["event"], line["reason"]) for line in log
    ]


async def test_tls_on_the_port_for_plain_http(client_context: ssl.SSLContext, log: list[dict[str, object]]) -> None:
    """The connection is closed at once, with an alert that TLS clients understand; the log names the fix, once."""
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(CLIENT_HELLO)
        assert ALERT == await reader.read()
        writer.close()
        with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
            async with server.connected(client_context):
                pass

    assert ["http.tls_refused"] == [line["event"] for line in log]
    assert "pipelet serve --tls" in str(log[0]["fix"])
