"""Pictures behind URLs: a real server on this machine that answers well, badly, or for ever."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from pipelet.api.app import build_api
from pipelet.api.downloads import Fetchers
from pipelet.api.references import References
from pipelet.blobs.disk import DiskBlobs
from pipelet.domain.catalog import Catalog, parse
from pipelet.outbound import guarded_client, is_public
from pipelet.store.sqlite import SqliteStore
from tests.api.service import Service
from tests.jobs import SetClock
from tests.pictures import data_uri, png

EDIT = "z-image-image-edit"
PNG = png()
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def catalog() -> Catalog:
    """A model of eight pictures."""
    return parse(
        f"""
        [models.several]
        source = "none"
        max_references = 8
        [apps.{EDIT}]
        task = "image-edit"
        model = "several"
        limits = {{ max_body_bytes = 33_554_432 }}
        """
    )


@pytest.fixture
async def fetchers() -> AsyncIterator[Fetchers]:
    """Allowed is the address of the server below, and no other of this machine."""
    strangers = guarded_client(allowed=[ip_network("127.0.0.1/32")], max_redirects=3)
    async with strangers, httpx2.AsyncClient() as storage:
        yield Fetchers(strangers=strangers, storage=storage)


@pytest.fixture
def app(store: SqliteStore, blobs: DiskBlobs, clock: SetClock, catalog: Catalog, fetchers: Fetchers) -> FastAPI:
    return build_api(
        may_call=is_public,
        store=store,
        blobs=blobs,
        catalog=catalog,
        clock=clock,
        public_url=None,
        local_files=blobs,
        fetchers=fetchers,
        version="0.1.0",
    )


def head(status: str = "200 OK", **headers: object) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def saying(*parts: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)

    return answer


async def byte_by_byte(writer: asyncio.StreamWriter) -> None:
    writer.write(head(Content_Length=len(PNG)))
    for byte in PNG:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def nothing(writer: asyncio.StreamWriter) -> None:
    await asyncio.get_running_loop().create_future()


async def without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(head(Transfer_Encoding="chunked"))
    while not writer.is_closing():
        writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await writer.drain()


PLACES: dict[str, Answer] = {
    "/a.png": saying(head(Content_Length=len(PNG), Content_Type="text/plain"), PNG),
    "/until-closed": saying(head(), PNG),
    "/moved": saying(head("302 Found", Location="/a.png", Content_Length=0)),
    "/missing": saying(head("404 Not Found", Content_Length=9), b"not found"),
    "/broken": saying(head("500 Internal Server Error", Content_Length=0)),
    "/slow": byte_by_byte,
    "/silent": nothing,
    "/endless": without_end,
    "/announced": saying(head(Content_Length=30_000_000)),
    "/short": saying(head(Content_Length=len(PNG) + 1), PNG),
    "/long": saying(head(Content_Length=len(PNG) // 2), PNG),
    "/closes": saying(),
    "/garbage": saying(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "/round": saying(head("302 Found", Location="/round", Content_Length=0)),
    "/inside": saying(head("302 Found", Location="http://127.0.0.2/", Content_Length=0)),
    "/file": saying(head("302 Found", Location="file:///etc/passwd", Content_Length=0)),
    "/packed": saying(head(Content_Encoding="gzip", Content_Length=len(gzip.compress(PNG))), gzip.compress(PNG)),
    "/page": saying(head(Content_Type="image/png"), b"<!DOCTYPE html><title>Sign in</title>"),
    "/empty": saying(head(Content_Type="image/png", Content_Length=0)),
}


@pytest.fixture
async def address() -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            request = await reader.readuntil(b"\r\n\r\n")
            await PLACES[request.split()[1].decode().partition("?")[0]](writer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}"
    server.close()
    for task in tasks:
        task.cancel()


@pytest.fixture
def impatient(service: Service) -> Service:
    """It waits a second for each picture."""
    return wait_for(service, fetch_seconds=1.0)


def wait_for(service: Service, **seconds: float) -> Service:
    parts = service.app.state.parts
    references = References(parts.store, parts.blobs, parts.references._downloads, parts.clock, **seconds)
    service.app.state.parts = replace(parts, references=references)
    return service


async def post(service: Service, *urls: str) -> Any:
    return await service.client.post(f"/fal/queue/{EDIT}", json={"prompt": "a girl", "image_urls": urls})


async def test_pictures_are_fetched(service: Service, address: str) -> None:
    """Whatever their type is said to be; over a redirect, and where the length is not said."""
    answer = await post(service, *(f"{address}{place}" for place in ("/a.png", "/moved", "/until-closed")))

    assert 200 == answer.status_code, answer.text
    job = await service.store.get(answer.json()["request_id"])
    assert job is not None
    assert [(96, 64)] * 3 == [(each.width, each.height) for each in job.spec.references]
    assert 1 == len({each.key for each in job.spec.references})  # they are the same


WRONG = {
    "/missing": ("file_download_error", "answered 404 Not Found"),
    "/broken": ("file_download_error", "answered 500"),
    "/announced": ("file_too_large", "20 MiB"),
    "/short": ("file_download_error", "failed"),
    "/long": ("image_load_error", "incomplete"),
    "/closes": ("file_download_error", "failed"),
    "/garbage": ("file_download_error", "failed"),
    "/round": ("file_download_error", "more than 3 times"),
    "/inside": ("file_download_error", "not on the public internet"),
    "/file": ("file_download_error", "https:// or http://"),
    "/packed": ("file_download_error", "compresses"),
    "/page": ("unsupported_image_format", "web page"),
    "/empty": ("image_load_error", "empty"),
    "/endless": ("file_too_large", "20 MiB"),
    "/slow": ("file_download_error", "not there after 1 seconds"),
    "/silent": ("file_download_error", "not there after 1 seconds"),
}


@pytest.mark.parametrize("places", [list(WRONG)[:8], list(WRONG)[8:]], ids=["mostly refused", "mostly odd"])
async def test_what_is_wrong_is_said_of_each(impatient: Service, address: str, places: list[str]) -> None:
    """All at once and after a bounded time, whatever the servers do; the length that they announce does not count."""
    answer = await post(impatient, *(f"{address}{place}" for place in places))

    assert 422 == answer.status_code, answer.text
    faults = answer.json()["detail"]
    assert [["body", "image_urls", number] for number in range(8)] == [fault["loc"] for fault in faults]
    assert [WRONG[place][0] for place in places] == [fault["type"] for fault in faults]
    for place, fault in zip(places, faults, strict=True):
        assert WRONG[place][1] in fault["msg"]
    assert 0 == await impatient.queued()


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.2/", "http://localhost.localdomain.invalid/", "http://[::1]/", "http://0x7f000002/"),
        *("http://169.254.169.254/latest/meta-data/", "http://[::ffff:10.0.0.1]/", "http://10.0.0.1:99999/"),
        *("http://[::1/", "http://a..b/", f"http://{'a' * 300}.com/", "https://%00/", "http://-/"),
    ],
)
async def test_places_that_are_none(impatient: Service, url: str) -> None:
    """Inside, unknown or misspelt: said as the fault of that picture."""
    answer = await post(impatient, data_uri(PNG), url)

    assert 422 == answer.status_code, answer.text
    assert [["body", "image_urls", 1]] == [fault["loc"] for fault in answer.json()["detail"]]
    assert "file_download_error" == answer.json()["detail"][0]["type"]


async def post_as(service: Service, key: str, *urls: str) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    body = {"prompt": "a girl", "image_urls": urls}
    return await service.client.post(f"/fal/queue/{EDIT}", json=body, headers=headers)


async def until_free(service: Service, slots: int) -> None:
    async with asyncio.timeout(10):
        while service.app.state.parts.references._slots.free != slots:
            await asyncio.sleep(0.01)


async def test_slow_servers_hold_up_their_own_user_alone(service: Service, address: str) -> None:
    """Others are answered meanwhile; who waits in vain for a turn may try again."""
    wait_for(service, fetch_seconds=20.0, patience=3.0)
    slow = [asyncio.create_task(post(service, *(f"{address}/silent?{n}-{k}" for k in range(8)))) for n in range(4)]
    await until_free(service, 16)

    assert 404 == (await service.client.get(f"/fal/queue/{EDIT}/requests/{'x' * 20}/status")).status_code
    bob = await service.new_key("bob")
    assert 200 == (await post_as(service, bob, f"{address}/a.png")).status_code
    assert not any(each.done() for each in slow)
    answers = [await each for each in slow]
    assert {(503, "5", "1")} == {
        (each.status_code, each.headers["Retry-After"], each.headers["X-Fal-Needs-Retry"]) for each in answers
    }
    assert 200 == (await post(service, f"{address}/a.png")).status_code


async def test_waiting_for_others_is_not_the_fault_of_a_picture(impatient: Service, address: str) -> None:
    """The time for fetching begins with the turn of the picture."""
    keys = [await impatient.new_key(name) for name in ("bob", "eve", "sam")]
    urls = [f"{address}/silent?{number}" for number in range(8)]
    slow = [asyncio.create_task(post_as(impatient, key, *urls)) for key in keys]
    await until_free(impatient, 0)

    assert 200 == (await post(impatient, f"{address}/a.png")).status_code
    assert {422} == {(await each).status_code for each in slow}


async def test_an_upload_of_many_megabytes(service: Service) -> None:
    """A data: URI of what is allowed is read; one that is larger is refused as that."""
    assert 200 == (await post(service, data_uri(PNG + bytes(19 * 2**20)))).status_code
    answer = await post(service, data_uri(PNG + bytes(21 * 2**20)))
    assert "file_too_large" == answer.json()["detail"][0]["type"]
    assert {"max_size": 20 * 2**20} == answer.json()["detail"][0]["ctx"]
