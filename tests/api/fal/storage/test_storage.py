"""fal's storage: what its clients do to upload, on our own uploads."""

import asyncio
from typing import Any

import httpx2
import pytest

from pipelet.domain.accounts.limits import UserLimitChanges
from tests.api.fal.ids.test_ids import EDIT
from tests.api.service import Service
from tests.api.v1.uploads.calls import RED, bearer, stored
from tests.support.images import encoded, new_image

INITIATE = "/fal/rest/storage/upload/initiate?storage_type=fal-cdn-v3"
FILES = "/fal/cdn/files/upload"
PNG = {"content_type": "image/png", "file_name": "a.png"}


async def initiate(service: Service, *, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, str]:
    response = await service.client.post(INITIATE, json=PNG | fields, headers=headers)
    assert 200 == response.status_code, response.text
    return dict(response.json())


async def put(service: Service, url: str, body: bytes = RED) -> httpx2.Response:
    """As fal's JavaScript client does, without a key."""
    async with httpx2.AsyncClient(transport=service.client._transport) as keyless:
        return await keyless.put(url, content=body, headers={"Content-Type": "image/png"})


async def edit(service: Service, url: str, key: str = "") -> httpx2.Response:
    body = {"prompt": "a", "image_url": url}
    return await service.client.post(f"/fal/{EDIT}", json=body, headers=bearer(key) if key else {})


async def test_a_file_is_put_where_the_first_call_says(service: Service) -> None:
    """Its URL shows it, its own user's requests may name it, another user's may not, and it counts as stored."""
    urls = await initiate(service)
    assert 404 == (await service.client.get(urls["file_url"])).status_code
    assert (200, {}) == ((response := await put(service, urls["upload_url"])).status_code, response.json())

    shown = await service.client.get(urls["file_url"])
    assert (RED, "image/png") == (shown.content, shown.headers["Content-Type"])
    assert 200 == (await edit(service, urls["file_url"])).status_code
    assert 422 == (await edit(service, urls["file_url"], key=await service.new_key("eve"))).status_code
    assert len(RED) < await stored(service)


async def test_a_repeated_put_is_one_upload(service: Service) -> None:
    """A client that lost the reply sends the file again: the first one stays, and is counted once."""
    urls = await initiate(service, content_type="application/octet-stream")
    codes = [(await put(service, urls["upload_url"], body)).status_code for body in (RED, encoded(new_image(), "GIF"))]

    assert ([200, 200], len(RED)) == (codes, await stored(service))
    assert RED == (await service.client.get(urls["file_url"])).content


async def test_concurrent_puts_are_one_upload(service: Service) -> None:
    """Those that meet one that is being stored are told to come again, which clients do."""
    urls = await initiate(service)
    codes = [each.status_code for each in await asyncio.gather(*(put(service, urls["upload_url"]) for _ in range(5)))]

    assert {200, 503} == set(codes)
    assert len(RED) == await stored(service)
    assert 200 == (await put(service, urls["upload_url"])).status_code


async def test_the_longest_lifecycle_is_taken(service: Service) -> None:
    """It is more than any file is kept, and as many digits as a ticket has."""
    longest = {"X-Fal-Object-Lifecycle": '{"expiration_duration_seconds": 1e15}'}

    assert 200 == (await put(service, (await initiate(service, headers=longest))["upload_url"])).status_code


async def test_a_token_for_pythons_client(service: Service) -> None:
    """It uploads any number of files for an hour, by the address that comes with it."""
    token = (await service.client.post("/fal/rest/storage/auth/token?storage_type=fal-cdn-v3", json={})).json()
    assert "http://pipelet.test/fal/cdn" == token["base_url"]
    headers = {"Authorization": f"{token['token_type']} {token['token']}", "Content-Type": "image/png"}
    first, second = [await service.client.post(FILES, content=RED, headers=headers) for _ in range(2)]

    assert first.json()["access_url"] != second.json()["access_url"]
    assert 200 == (await edit(service, first.json()["access_url"])).status_code
    service.clock.time += 3601
    assert 401 == (await service.client.post(FILES, content=RED, headers=headers)).status_code


async def test_the_time_that_a_client_asks_for(service: Service) -> None:
    """An upload is kept that long, under either name of the header, and no longer than the retention time."""
    short = await initiate(service, headers={"X-Fal-Object-Lifecycle": '{"expiration_duration_seconds": 3600}'})
    long = await initiate(
        service, headers={"X-Fal-Object-Lifecycle-Preference": '{"expiration_duration_seconds": 1e9}'}
    )
    for urls in (short, long):
        assert 200 == (await put(service, urls["upload_url"])).status_code
    bad = await service.client.post(INITIATE, json=PNG, headers={"X-Fal-Object-Lifecycle": "soon"})
    assert ["header", "x-fal-object-lifecycle"] == bad.json()["detail"][0]["loc"]

    service.clock.time += 3601
    assert [422, 200] == [(await edit(service, urls["file_url"])).status_code for urls in (short, long)]
    assert 403 == (await service.client.get(short["file_url"])).status_code
    service.clock.time += 30 * 86400
    assert 422 == (await edit(service, long["file_url"])).status_code


async def test_what_opens_nothing(service: Service) -> None:
    """No key, a changed URL, one whose time is over, and one of a key that was revoked."""
    urls = await initiate(service)
    assert 403 == (await put(service, urls["upload_url"][:-1] + "x")).status_code
    token = (await service.client.post("/fal/rest/storage/auth/token", json={})).json()["token"]
    assert 403 == (await put(service, f"http://pipelet.test/fal/cdn/uploads/{token[:-1]}")).status_code
    for path in (INITIATE, FILES, "/fal/rest/storage/auth/token"):
        assert 401 == (await service.client.post(path, json={}, headers={"Authorization": ""})).status_code
    service.clock.time += 599
    assert 200 == (await put(service, urls["upload_url"])).status_code
    service.clock.time += 1
    assert 403 == (await put(service, urls["upload_url"])).status_code
    late = await initiate(service)
    await service.store.api_keys.revoke(await service.id_of(service.key), service.clock.now())
    service.clock.time += 3
    assert 403 == (await put(service, late["upload_url"])).status_code


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 422, "The file is empty."),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "an SVG image"),
        (b"x" * (20 * 1024**2 + 1), 413, "larger than"),
    ],
)
async def test_what_is_no_image_is_refused(service: Service, body: bytes, status: int, reason: str) -> None:
    """By its bytes, whatever type was said; nothing is left of it."""
    response = await put(service, (await initiate(service))["upload_url"], body)

    assert (status, True) == (response.status_code, reason in response.json()["message"])
    assert 0 == await stored(service)


async def test_uploads_in_parts_are_refused_before_they_are_sent(service: Service) -> None:
    """fal's clients send files of more than 90 MiB so, which no image here may have."""
    for path in ("/fal/rest/storage/upload/initiate-multipart", "/fal/cdn/files/upload/multipart"):
        response = await service.client.post(path, json=PNG)
        assert (413, True) == (response.status_code, "20 MiB at most" in response.json()["message"])


async def test_through_the_proxy(service: Service) -> None:
    """fal's JavaScript client asks at fal's own addresses, and puts the file straight to the service."""
    for host in ("rest.fal.ai", "rest.alpha.fal.ai", "rest.fal.run"):
        headers = {"x-fal-target-url": f"https://{host}/storage/upload/initiate?storage_type=fal-cdn-v3"}
        urls = (await service.client.post("/fal/proxy", headers=headers, json=PNG)).json()
        assert 200 == (await put(service, urls["upload_url"])).status_code


async def test_limits_of_the_user_hold(service: Service) -> None:
    """An upload beyond them is a 403 that fal's clients do not repeat."""
    await service.store.limits.change("ada", UserLimitChanges(max_stored_bytes=10))
    urls = await initiate(service)

    response = await put(service, urls["upload_url"])
    assert (403, "storage_limit") == (response.status_code, response.json()["error_type"])
