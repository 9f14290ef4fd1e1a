"""GET …/requests/{id}/status/stream, by a real server."""

import asyncio
import contextlib
import socket
import time
from typing import Any

import httpx2
import psutil
import pytest
from fastapi import FastAPI

from pipelet.api.dependencies import StreamTimeouts
from pipelet.domain.jobs.outcome import FailureKind, Released
from pipelet.domain.jobs.progress import Progress
from pipelet.store.sqlite import SqliteStore
from tests.api.service import Service
from tests.api.streams import PATIENCE, Stream, serving, streaming
from tests.support.jobs import APP
from tests.support.waiting import until


async def test_an_event_is_what_a_poll_would_return(service: Service, url: str) -> None:
    """The first comes at once, with all that the status itself tells, under headers that stop buffering."""
    request_id = await service.submit()
    headers = {"Authorization": f"Bearer {service.key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers) as client:
        for query in ("", "?logs=1"):
            polled = await client.get(f"{service.status_path(request_id)}{query}")
            accept = "application/json, text/event-stream"  # as fal's client has it
            async with streaming(service, url, request_id, query, Accept=accept) as stream:
                event = await stream.next()

            assert polled.json() == event.body
    assert 200 == stream.response.status_code
    assert stream.response.headers["content-type"].startswith("text/event-stream")
    assert request_id == stream.response.headers["x-fal-request-id"]
    assert ("no-store", "no") == (
        stream.response.headers["cache-control"],
        stream.response.headers["x-accel-buffering"],
    )


async def test_a_request_is_told_from_the_queue_to_its_end(service: Service, url: str) -> None:
    """Places, tasks and the end, each as it happens; then the stream ends. Its logs add up to those of a poll."""
    await service.heartbeat()
    first, second = await service.submit(), await service.submit()
    async with streaming(service, url, second, "?logs=1") as stream:
        told = [await stream.next()]
        lease = await service.claim()
        told.append(await stream.next())
        await service.fail(lease, FailureKind.INTERNAL, "The pipeline raised.")
        lease = await service.claim()
        told.append(await stream.next())
        for done in (1, 7):
            await service.store.leases.report_progress(lease, Progress(done, 12))
            told.append(await stream.next())
        await service.succeed(lease)
        told += await stream.rest()

    assert [
        ("IN_QUEUE", 1, "Queued: 1 request ahead"),
        ("IN_QUEUE", 0, "Queued: 0 requests ahead"),
        ("IN_PROGRESS", 0, "Progress: 0/12 Tasks done"),
        ("IN_PROGRESS", 0, "Progress: 1/12 Tasks done"),
        ("IN_PROGRESS", 0, "Progress: 7/12 Tasks done"),
        ("COMPLETED", 0, "Progress: 12/12 Tasks done"),
    ] == [event.said for event in told]
    polled = (await service.client.get(f"{service.status_path(second)}?logs=1")).json()
    assert polled["logs"] == [line for event in told for line in event.body["logs"]]
    assert polled["metrics"] == told[-1].body["metrics"]
    assert len(told) == len({event.id for event in told})
    assert first != second


async def test_logs_are_null_unless_asked_for(service: Service, url: str) -> None:
    """Never missing, and no line of the log is an event for one who did not ask."""
    request_id = await service.submit()
    async with streaming(service, url, request_id) as stream:
        told = [await stream.next()]
        await service.fail(await service.claim(), FailureKind.INVALID_INPUT, "Größe 🎨")
        told += await stream.rest()

    assert {None} == {event.body["logs"] for event in told}
    assert ("COMPLETED", "Größe 🎨", "value_error") == (
        told[-1].body["status"],
        told[-1].body["error"],
        told[-1].body["error_type"],
    )


async def test_a_message_that_changes_is_told(service: Service, url: str) -> None:
    """A waiting client gets an event when the operator pauses the app, at an unchanged position."""
    request_id = await service.submit()
    async with streaming(service, url, request_id) as stream:
        await stream.next()
        await service.store.queue.pause(APP, service.clock.now())
        service.clock.time += 1  # what was read of pauses is old now
        event = await stream.next()

    assert "paused" in event.body["statusMessages"]["message"]


async def test_after_a_reconnect_the_story_goes_on(service: Service, url: str) -> None:
    """With the last event's id, at another process of the service: nothing is told twice, and no line is lost."""
    another = service.another_api()
    request_id = await service.submit()
    async with serving(another) as (other_url, _):
        async with streaming(service, url, request_id, "?logs=1") as stream:
            first = await stream.next()
        async with streaming(service, other_url, request_id, "?logs=1", Last_Event_ID=first.id) as stream:
            assert await stream.comment()  # the connection is alive, and there is nothing to tell
            lease = await service.claim()
            second = await stream.next()
        await service.store.leases.report_progress(lease, Progress(3, 12))
        await service.succeed(lease)
        async with streaming(service, url, request_id, "?logs=1", Last_Event_ID=second.id) as stream:
            last = await stream.rest()

    assert ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"] == [event.body["status"] for event in (first, second, *last)]
    messages = [line["message"][:7] for event in (first, second, *last) for line in event.body["logs"]]
    assert ["Queued ", "Started", "Finishe"] == messages


async def test_a_client_that_knows_the_end_gets_it_once(service: Service, url: str) -> None:
    """204 with the last event's id: a browser's EventSource then stays away."""
    request_id = await service.submit()
    await service.succeed(await service.claim())
    async with streaming(service, url, request_id) as stream:
        [event] = await stream.rest()
    async with streaming(service, url, request_id, Last_Event_ID=event.id) as again:
        pass

    assert (204, request_id) == (again.response.status_code, again.response.headers["x-fal-request-id"])


@pytest.mark.parametrize("event_id", ["", "x", "-1-00000000", "9" * 40, "999999999-0000000a", "5-ö", "3"])
async def test_an_id_of_something_else_is_as_good_as_none(service: Service, url: str, event_id: str) -> None:
    """Whatever the header holds, the stream begins with all there is to tell."""
    request_id = await service.submit()
    headers = {"Last-Event-ID": event_id.encode()}
    async with streaming(service, url, request_id, "?logs=1", **headers) as stream:  # type: ignore[arg-type]
        event = await stream.next()

    assert 1 == len(event.body["logs"])


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_refusal_is_json(service: Service, slash: str) -> None:
    """Before a stream begins errors are as everywhere, with a trailing slash, too."""
    request_id = await service.submit()
    stranger = await service.new_key("eve")
    path = f"{service.status_path(request_id)}/stream{slash}"
    responses = [
        await service.client.get(path.replace(request_id, "rn5r12q9pdu6yvb3nxty")),
        await service.client.get(path, headers={"Authorization": f"Key {stranger}"}),
        await service.client.get(path, headers={"Authorization": "Key x"}),
    ]

    assert [404, 404, 401] == [response.status_code for response in responses]
    assert {"application/json"} == {response.headers["content-type"] for response in responses}


async def test_silence_is_filled_with_comments(service: Service) -> None:
    """A proxy that closes silent connections does not close this one."""
    request_id = await service.submit()
    quick = serving(service.another_api(stream_timeouts=StreamTimeouts(keepalive=0.05)))
    async with quick as (url, _), streaming(service, url, request_id) as stream:
        await stream.next()
        assert [": ping"] * 3 == [await stream.comment() for _ in range(3)]


async def test_a_server_that_stops_breaks_streams_off(
    service: Service, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    """Quickly and without complaints, and so that no client takes the last event for the end of its request."""
    request_id = await service.submit()
    async with serving(app) as (url, server), contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(streaming(service, url, request_id)) for _ in range(5)]
        for stream in streams:
            await stream.next()
        server.should_exit = True
        began = time.monotonic()
        for stream in streams:
            with pytest.raises(httpx2.RemoteProtocolError):
                await stream.next()

    assert time.monotonic() - began < 3
    assert [] == [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")]


async def test_a_client_that_does_not_read_delays_no_other(service: Service) -> None:
    """Others receive at once what it leaves unread, and after a while its connection is broken off."""
    async with serving(service.another_api(stream_timeouts=StreamTimeouts(write=0.5))) as (url, _):
        await hold_out(service, url)


async def hold_out(service: Service, url: str) -> None:
    request_id = await service.submit()
    with deaf_client(service, url, f"{service.status_path(request_id)}/stream?logs=1") as connection:
        async with streaming(service, url, request_id) as stream:
            await stream.next()
            for _ in range(8):  # more than all buffers on the way hold
                lease = await service.claim()
                assert (await stream.next(within=3)).body["status"] == "IN_PROGRESS"
                await service.store.leases.finish(lease, Released("x" * 2_000_000), service.clock.now())
                assert (await stream.next(within=3)).body["status"] == "IN_QUEUE"
            await until(lambda: is_closed(connection))


@contextlib.contextmanager
def deaf_client(service: Service, url: str, path: str) -> Any:
    """Has asked, and reads nothing."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((host, int(port)))
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {service.key}\r\n\r\n"
        connection.sendall(head.encode())
        yield connection


async def is_closed(connection: socket.socket) -> bool:
    return not await asyncio.to_thread(_is_open, connection)


def _is_open(connection: socket.socket) -> bool:
    """Whether the other side still holds this connection, as the kernel tells of every socket."""
    here = f"{connection.getsockname()[1]:04X}"
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    # Theirs is established as long as the application holds it; afterwards the kernel waits alone.
    return any(row[2].endswith(f":{here}") and row[3] == "01" for row in rows)


async def test_streams_that_are_dropped_leave_nothing(service: Service, url: str, store: SqliteStore) -> None:
    """No task, no socket and no subscription remains after hundreds of streams."""
    ids = [await service.submit() for _ in range(10)]
    await asyncio.sleep(0)
    tasks_before = asyncio.all_tasks()
    host, _, port = url.removeprefix("http://").partition(":")
    head = "GET {}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n"

    async def come_and_go(number: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.format(service.status_path(ids[number % 10]), service.key).encode())
        await reader.readuntil(b"data: ")
        if number % 2:
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    for _ in range(3):
        await asyncio.gather(*map(come_and_go, range(100)))
    await until(lambda: not connections(int(port)), within=PATIENCE)  # sooner than a comment would find out
    await until(lambda: asyncio.all_tasks() <= tasks_before)


def connections(port: int) -> list[Any]:
    """The ends, of either side, that this process has open. A count of all its files would tell of other tests, too."""
    return [
        each
        for each in psutil.Process().net_connections("tcp")
        if each.raddr and port in (each.laddr.port, each.raddr.port)
    ]


async def test_streams_do_not_ask_the_database_each(service: Service, url: str, store: SqliteStore) -> None:
    """While nothing happens a hundred streams cost a look a second; a change is found in a few queries."""
    request_ids = [await service.submit() for _ in range(100)]
    async with contextlib.AsyncExitStack() as stack:
        limits = httpx2.Limits(max_connections=None)
        headers = {"Authorization": f"Bearer {service.key}"}
        client = await stack.enter_async_context(httpx2.AsyncClient(timeout=PATIENCE, limits=limits, headers=headers))
        streams = []
        for request_id in request_ids:
            path = f"{url}{service.status_path(request_id)}/stream"
            streams.append(Stream(await stack.enter_async_context(client.stream("GET", path))))
        for stream in streams:
            await stream.next()
        queries: list[str] = []
        store._reader.set_trace_callback(queries.append)
        await until(lambda: sum("AS log_entries" in query for query in queries) >= 2)  # what a look begins with
        idle = len(queries)
        queries.clear()
        await service.claim()
        for stream in streams:
            await stream.next()
        store._reader.set_trace_callback(None)

    assert idle < 12
    assert len(queries) < 20
