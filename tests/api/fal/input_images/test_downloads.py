"""Input images behind URLs: a real server on this machine that replies well, badly, or without end."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest

from pipelet.domain.catalog import Catalog
from pipelet.outbound import public_only_client
from pipelet.services.input_images.fetch import HttpClients
from pipelet.services.input_images.loader import InputImageLoader
from tests.api.fal.input_images.test_edit_input import stored_files
from tests.api.service import Service, catalog_of_edits
from tests.support.images import data_uri, png
from tests.support.jobs import EDIT
from tests.support.servers.web import Response, WebServer, head, saying, silence, slowly, whole, without_end
from tests.support.waiting import until

PNG = png()


@pytest.fixture
def catalog() -> Catalog:
    return catalog_of_edits(max_input_images=8)


@pytest.fixture
async def http_clients() -> AsyncIterator[HttpClients]:
    """Allowed is the address of the server below, and no other of this machine."""
    public = public_only_client(allowed=[ip_network("127.0.0.1/32")], max_redirects=3)
    async with public, httpx2.AsyncClient() as storage:
        yield HttpClients(public=public, storage=storage)


def redirect(url: str) -> Response:
    return whole(b"", "302 Found", Location=url)


PLACES: dict[str, Response] = {
    "/a.png": whole(PNG, Content_Type="text/plain"),
    "/until-closed": saying(head(), PNG),
    "/moved": redirect("/a.png"),
    "/missing": whole(b"not found", "404 Not Found"),
    "/broken": whole(b"", "500 Internal Server Error"),
    "/slow": slowly(head(Content_Length=len(PNG)), [bytes([byte]) for byte in PNG], pause=1),
    "/silent": silence,
    "/endless": without_end(head(Transfer_Encoding="chunked"), b"10000\r\n" + bytes(0x10000) + b"\r\n"),
    "/announced": saying(head(Content_Length=30_000_000)),
    "/short": saying(head(Content_Length=len(PNG) + 1), PNG),
    "/long": saying(head(Content_Length=len(PNG) // 2), PNG),
    "/closes": saying(),
    "/garbage": saying(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "/round": redirect("/round"),
    "/inside": redirect("http://127.0.0.2/"),
    "/file": redirect("file:///etc/passwd"),
    "/packed": whole(gzip.compress(PNG), Content_Encoding="gzip"),
    "/page": saying(head(Content_Type="image/png"), b"<!DOCTYPE html><title>Sign in</title>"),
    "/empty": whole(b"", Content_Type="image/png"),
}


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with WebServer(lambda request: PLACES[request.path]) as server:
        yield server.url


@pytest.fixture
def impatient(service: Service) -> Service:
    """It waits a second for each image."""
    return wait_for(service, fetch_timeout=1.0)


def wait_for(service: Service, **seconds: float) -> Service:
    submits = service.app.state.dependencies.submits
    fetcher = submits.input_images.fetcher
    submits.input_images = InputImageLoader(service.store.files, service.blobs, fetcher, service.clock, **seconds)
    return service


async def post(service: Service, *urls: str) -> Any:
    return await service.client.post(f"/fal/queue/{EDIT}", json={"prompt": "a girl", "image_urls": urls})


async def test_images_are_fetched(service: Service, address: str) -> None:
    """Whatever their type is said to be; over a redirect, and where the length is not said."""
    response = await post(service, *(f"{address}{place}" for place in ("/a.png", "/moved", "/until-closed")))

    assert 200 == response.status_code, response.text
    job = await service.store.jobs.get(response.json()["request_id"])
    assert job is not None
    assert [(96, 64)] * 3 == [(each.width, each.height) for each in job.spec.input_images]
    assert 1 == len({each.key for each in job.spec.input_images})  # they are the same


WRONG = {
    "/missing": ("file_download_error", "returned 404 Not Found"),
    "/broken": ("file_download_error", "returned 500"),
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
    "/slow": ("file_download_error", "did not arrive within 1 seconds"),
    "/silent": ("file_download_error", "did not arrive within 1 seconds"),
}


@pytest.mark.parametrize("places", [list(WRONG)[:8], list(WRONG)[8:]], ids=["mostly refused", "mostly odd"])
async def test_what_is_wrong_is_said_of_each(impatient: Service, address: str, places: list[str]) -> None:
    """All at once and after a bounded time, whatever the servers do; the length that they announce does not count."""
    response = await post(impatient, *(f"{address}{place}" for place in places))

    assert 422 == response.status_code, response.text
    faults = response.json()["detail"]
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
    """Inside, unknown or misspelt: said as the fault of that image."""
    response = await post(impatient, data_uri(PNG), url)

    assert 422 == response.status_code, response.text
    assert [["body", "image_urls", 1]] == [fault["loc"] for fault in response.json()["detail"]]
    assert "file_download_error" == response.json()["detail"][0]["type"]


async def post_as(service: Service, key: str, *urls: str) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    body = {"prompt": "a girl", "image_urls": urls}
    return await service.client.post(f"/fal/queue/{EDIT}", json=body, headers=headers)


async def until_free(service: Service, slots: int) -> None:
    await until(lambda: service.app.state.dependencies.submits.input_images._slots.free == slots)


async def test_slow_servers_hold_up_their_own_user_alone(service: Service, address: str) -> None:
    """Other users get responses; a client that gets no turn in time may retry."""
    wait_for(service, fetch_timeout=20.0, timeout=3.0)
    slow = [asyncio.create_task(post(service, *(f"{address}/silent?{n}-{k}" for k in range(8)))) for n in range(4)]
    await until_free(service, 16)

    assert 404 == (await service.client.get(f"/fal/queue/{EDIT}/requests/{'x' * 20}/status")).status_code
    bob = await service.new_key("bob")
    assert 200 == (await post_as(service, bob, f"{address}/a.png")).status_code
    assert not any(each.done() for each in slow)
    responses = [await each for each in slow]
    assert {(503, "5", "1")} == {
        (each.status_code, each.headers["Retry-After"], each.headers["X-Fal-Needs-Retry"]) for each in responses
    }
    assert 200 == (await post(service, f"{address}/a.png")).status_code


async def test_what_was_stored_of_a_submit_that_took_too_long_is_deleted(service: Service, address: str) -> None:
    """At once, not when the reservation expires."""
    wait_for(service, fetch_timeout=20.0, timeout=0.5)

    assert 503 == (await post(service, data_uri(PNG), f"{address}/silent")).status_code
    await until(lambda: not service.app.state.dependencies.submits.input_images._discarding)
    assert not stored_files(service)
    assert [] == await service.store.files.orphaned(service.clock.now() + 1e6, 10)


async def test_large_images_hold_up_their_own_user_alone(service: Service) -> None:
    """Another user's small one is decoded while those of the first still wait for their turn."""
    bob = await service.new_key("bob")
    large = [data_uri(png((2000, 1500), (number, 90, 30))) for number in range(8)]
    many = asyncio.create_task(post(service, *large))
    await until(lambda: service.app.state.dependencies.submits.input_images._decoders.free < 3)

    assert 200 == (await post_as(service, bob, data_uri(PNG))).status_code
    assert len(stored_files(service)) < 6
    assert 200 == (await many).status_code
    assert 9 == len(stored_files(service))


async def test_waiting_for_others_is_not_the_fault_of_an_image(impatient: Service, address: str) -> None:
    """The time for fetching begins with the turn of the image."""
    keys = [await impatient.new_key(name) for name in ("bob", "eve", "sam")]
    urls = [f"{address}/silent?{number}" for number in range(8)]
    slow = [asyncio.create_task(post_as(impatient, key, *urls)) for key in keys]
    await until_free(impatient, 0)

    assert 200 == (await post(impatient, f"{address}/a.png")).status_code
    assert {422} == {(await each).status_code for each in slow}


async def test_an_upload_of_many_megabytes(service: Service) -> None:
    """A data: URI of what is allowed is read; one that is larger is refused as that."""
    assert 200 == (await post(service, data_uri(PNG + bytes(19 * 2**20)))).status_code
    response = await post(service, data_uri(PNG + bytes(21 * 2**20)))
    assert "file_too_large" == response.json()["detail"][0]["type"]
    assert {"max_size": 20 * 2**20} == response.json()["detail"][0]["ctx"]


async def test_a_key_that_is_revoked_while_images_are_fetched(service: Service) -> None:
    """A slow server does not keep a key alive: nothing is queued, and nothing of the image stays."""
    key_id = await service.id_of(service.key)

    async def revoke_then_send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await service.store.api_keys.revoke(key_id, service.clock.now())
        service.clock.time += 2
        await whole(PNG)(reader, writer)

    async with WebServer(lambda request: revoke_then_send) as server:
        response = await post(service, f"{server.url}/a.png")

    assert (401, 0) == (response.status_code, await service.queued())
    assert [] == stored_files(service)
