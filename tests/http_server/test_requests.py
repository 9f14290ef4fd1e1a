"""What is read as a request, and what is refused before it is one."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from tests.http_server.echo import HOST, Running, running
from tests.support.waiting import until

JAVA = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUser-Agent: Java-http-client/17.0.9\r\n"
)
"""What `java.net.http.HttpClient` sends with its first request to every server."""
WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
TLS = b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"
HIDDEN = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with running() as server:
        yield server


async def test_a_small_response_is_one_packet(server: Running) -> None:
    """A client that reads once gets it whole: it is not woken for the head alone."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

    writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    packet = await reader.read(2**16)
    writer.close()

    head, _, body = packet.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head.lower().split(b"\r\n")


@pytest.mark.parametrize("offer", [JAVA, WEBSOCKET, TLS], ids=["h2c", "websocket", "TLS"])
async def test_an_upgrade_that_is_offered_is_ignored(server: Running, offer: bytes) -> None:
    """The request is read as HTTP/1.1, its body included, which may look like another request."""
    head = b"POST / HTTP/1.1\r\n" + offer + HOST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN)
    for packets in ([head + HIDDEN], [head, HIDDEN], [head + HIDDEN[:9], HIDDEN[9:]]):
        server.app.begun.clear()
        async with server.connected() as connection:
            await connection.send(*packets)
            first = await connection.response()
            await connection.send(b"GET /next HTTP/1.1\r\n" + offer + HOST + b"\r\n")
            second = await connection.response()

        assert (200, HIDDEN.decode()) == (first.status, first.json()["body"])
        assert "upgrade" not in dict(first.json()["headers"])
        assert ["/", "/next"] == server.app.begun
        assert "/next" == second.json()["path"]


async def test_trailers_are_dropped(server: Running) -> None:
    """They are no headers of the request, whatever they are called; extensions of chunks say nothing either."""
    body = b"5;a=b\r\nhello\r\n0\r\nAuthorization: Bearer stolen\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"

    response = await server.ask(b"POST / HTTP/1.1\r\n" + HOST + JAVA + b"Transfer-Encoding: chunked\r\n\r\n" + body)

    assert "hello" == response.json()["body"]
    assert not {"authorization", "x-forwarded-for"} & {name for name, _ in response.json()["headers"]}


A = b"GET / HTTP/1.1\r\n" + HOST
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = {
    "a megabyte of headers": (431, [A, *[b"a:\r\n" * 2**14] * 16]),
    "101 headers": (431, [A + b"a:\r\n" * 100 + b"\r\n"]),
    "one header of 64 KiB": (431, [A + b"a: " + b"b" * 2**16 + b"\r\n\r\n"]),
    "one header that does not end": (431, [A + b"a: ", *[b"b" * 2**15] * 3]),
    "one name that does not end": (431, [A, *[b"b" * 2**15] * 3]),
    "a long URL": (414, [b"GET /" + b"a" * 2**14 + b" HTTP/1.1\r\n" + HOST + b"\r\n"]),
    "a URL that does not end": (414, [b"GET /" + b"a" * 2**15]),
    "a trailer that does not end": (400, [CHUNKED + b"0\r\na: ", *[b"b" * 2**15] * 3]),
    "101 trailers": (431, [CHUNKED + b"0\r\n" + b"a: b\r\n" * 101 + b"\r\n"]),
    "an extension that does not end": (400, [CHUNKED + b"1;a=", *[b"b" * 2**15] * 3]),
    "two lengths": (400, [A + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"]),
    "a length and chunks": (400, [A + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"]),
    "a chunk of no size": (400, [CHUNKED + b"zz\r\n"]),
    "no Host": (400, [b"GET / HTTP/1.1\r\n\r\n"]),
    "two Hosts": (400, [A + HOST + b"\r\n"]),
    "lines without CR": (400, [b"GET / HTTP/1.1\nHost: a\n\n"]),
    "a folded header": (400, [A + b"a: b\r\n c: d\r\n\r\n"]),
    "CONNECT": (405, [b"CONNECT a.example:443 HTTP/1.1\r\n" + HOST + b"\r\n"]),
    "another protocol": (400, [b"SSH-2.0-OpenSSH_9.2\r\n" * 20]),
}


async def refused(server: Running, pieces: list[bytes]) -> int:
    """With which status."""
    async with server.connected() as connection:
        await connection.send(*pieces)
        response = await connection.response()
        assert response.json()["detail"]
        assert "close" == response.headers["connection"]
        assert ("no-store", "nosniff") == (
            response.headers["cache-control"],
            response.headers["x-content-type-options"],
        )
        connection.end()
        assert await connection.is_closed()
        return response.status


async def test_refused_before_it_is_a_request(server: Running) -> None:
    """Its client can read why, and the connection is closed; the application does not see it."""
    statuses = await asyncio.gather(*(refused(server, pieces) for _, pieces in REFUSED.values()))

    assert {name: status for name, (status, _) in REFUSED.items()} == dict(zip(REFUSED, statuses, strict=True))
    assert {"/"} >= {*server.app.begun}
    assert sum(CHUNKED in pieces[0] for _, pieces in REFUSED.values()) == len(server.app.begun)


async def test_an_absolute_url_names_the_host(server: Running) -> None:
    """As a proxy sends it; what the Host header says does not count."""
    for target, path, host in (
        (b"http://b.example:81/p?q=1", "/p", "b.example:81"),
        (b"http://b.example", "/", "b.example"),
    ):
        seen = (await server.ask(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")).json()

        assert (path, host) == (seen["path"], dict(seen["headers"])["host"])


async def test_http_1_0(server: Running) -> None:
    """It needs no Host, gets no interim response, and one request a connection."""
    async with server.connected() as connection:
        await connection.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
        assert (200, "hi") == ((response := await connection.response()).status, response.json()["body"])
        assert await connection.is_closed()


async def test_a_body_that_is_announced(server: Running) -> None:
    """It is asked for where it is read. Refused without it, its connection is closed: it may come, or a request."""
    head = HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    async with server.connected() as connection:
        await connection.send(b"POST / HTTP/1.1\r\n" + head)
        assert 100 == (await connection.response()).status
        await connection.send(b"hi")
        assert "hi" == (await connection.response()).json()["body"]
        await connection.send(b"POST /early HTTP/1.1\r\n" + head)
        refused = await connection.response()

        assert (401, "close") == (refused.status, refused.headers["connection"])
        await connection.send(b"GET /hidden HTTP/1.1\r\n" + HOST + b"\r\n")
        assert await connection.is_closed()
    assert ["/", "/early"] == server.app.begun


async def test_requests_that_wait_on_one_connection() -> None:
    """As many as allowed get a response, in order; the last says that the connection is closed, and more are not
    begun."""
    async with running(pipelined_requests=3) as server, server.connected() as connection:
        await connection.send(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n" + (A + b"\r\n") * 50)
        await until(lambda: bool(server.app.begun))
        server.app.go.set()
        responses = [await connection.response() for _ in range(4)]
        connection.end()
        assert await connection.is_closed()

    assert ["/wait", "/", "/", "/"] == [response.json()["path"] for response in responses]
    assert [None, None, None, "close"] == [response.headers.get("connection") for response in responses]
    assert 4 == len(server.app.begun)


@pytest.mark.parametrize("behind", [b"GARBAGE\0\r\n\r\n", CHUNKED + b"zz\r\n"], ids=["head", "body"])
async def test_an_error_behind_a_request(server: Running, behind: bytes) -> None:
    """The request gets a response, whole, before the connection is closed for what came behind it."""
    async with server.connected() as connection:
        await connection.send(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n" + behind)
        await until(lambda: bool(server.app.begun))
        server.app.go.set()

        assert (200, "/wait") == ((response := await connection.response()).status, response.json()["path"])
        connection.end()
        assert await connection.is_closed()
    assert ["/wait"] == server.app.begun


async def test_a_disconnect_is_seen_by_every_request(server: Running) -> None:
    """By the one in progress, too, when another waits behind it."""
    async with server.connected() as connection:
        await connection.send(b"GET /listen HTTP/1.1\r\n" + HOST + b"\r\n" + A + b"\r\n")
        await until(lambda: bool(server.app.begun))
    await until(lambda: server.app.ended == 1)

    assert (1, ["/listen"]) == (server.app.left, server.app.begun)


FORWARDED = (
    b"X-Forwarded-For: 192.0.2.1, 203.0.113.7:4711, 10.0.0.2\r\n"
    b"X-Forwarded-Proto: ftp, https, http\r\nX-Forwarded-Host: forged.example, api.example, inner\r\n"
)


async def test_trusted_proxies() -> None:
    """From the right, the first address that is none of them is the client's; what others say of themselves is not
    believed."""
    request = A + FORWARDED + b"\r\n"
    async with running(trusted_proxies=[ip_network("127.0.0.1"), ip_network("10.0.0.0/8")]) as server:
        believed = (await server.ask(request)).json()
    async with running(trusted_proxies=[ip_network("10.0.0.0/8")]) as server:
        ignored = (await server.ask(request)).json()

    assert ("203.0.113.7", "https") == (believed["client"], believed["scheme"])
    assert [["host", "api.example"]] == [each for each in believed["headers"] if each[0] == "host"]
    assert ("127.0.0.1", "http") == (ignored["client"], ignored["scheme"])
    assert "a.example" == dict(ignored["headers"])["host"]


async def test_another_variable_of_proxies_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn's own would be a second opinion."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    async with running(trusted_proxies=[]) as server:
        seen = (await server.ask(A + FORWARDED + b"\r\n")).json()

    assert ("127.0.0.1", "http") == (seen["client"], seen["scheme"])


async def test_the_log_context_of_a_request_ends_with_it(server: Running) -> None:
    """A body that waits for its reader hands the context of one request to the reads of the next on its connection."""
    body = bytes(3 * 2**20)
    async with server.connected() as connection:
        await connection.send(b"POST /first HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await connection.response()
        await connection.send(b"GET /second HTTP/1.1\r\n" + HOST + b"\r\n")
        await connection.response()

    assert [{}, {}] == server.app.contexts
