"""`/api/v1/uploads`: what is taken, how it is served, who may use it, and when it is gone."""

import io
from datetime import datetime

import httpx2
import pytest
from PIL import Image

from pipelet.domain.accounts.limits import UserLimitChanges
from pipelet.domain.uploads import Upload
from pipelet.services.queue.maintenance import Maintenance
from tests.api.service import Service
from tests.api.v1.uploads.calls import RED, URL, bearer, edit, files, send, stored, upload
from tests.support.images import encoded, new_image
from tests.support.jobs import EDIT

DAY = 86_400.0
FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif", "AVIF": "image/avif"}
NEVER = {
    b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>': "an SVG image",
    b"<!doctype html><script>alert(1)</script>": "a web page",
    b'<?xml version="1.0"?><svg/>': "an SVG image",
    b"BM" + bytes(60): "a BMP image",
    b"\0\0\0\x18ftypheic" + bytes(60): "a HEIC photograph",
    b"plain text": "of an unknown format",
}


async def maintain(service: Service) -> None:
    """What the service does once a minute."""
    maintenance = Maintenance(service.store, service.blobs, retention_seconds=30 * DAY, lease_seconds=60)
    await maintenance.prune()


@pytest.mark.parametrize("name", FORMATS)
async def test_an_image_is_served_as_what_its_bytes_are(service: Service, name: str) -> None:
    """Whatever type was sent with it: byte for byte, without a key, in a sandbox where nothing in it runs."""
    body = encoded(new_image(), name)
    sent = await upload(service, body, content_type="text/html")

    found = await httpx2.AsyncClient(transport=httpx2.ASGITransport(service.app)).get(sent["url"])

    assert (200, FORMATS[name], body) == (found.status_code, found.headers["content-type"], found.content)
    assert "nosniff" == found.headers["x-content-type-options"]
    assert "sandbox; default-src 'none'" == found.headers["content-security-policy"]
    assert found.headers["content-disposition"].startswith("inline; filename=")
    changed = sent["url"].replace("signature=", "signature=0")
    assert 403 == (await service.client.get(changed)).status_code


@pytest.mark.parametrize("body", NEVER, ids=NEVER.get)
async def test_other_files_are_refused_by_their_bytes(service: Service, body: bytes) -> None:
    """The message names what was sent, and nothing is stored."""
    response = await send(service, body, content_type="image/png")

    [fault] = response.json()["detail"]
    assert (422, "unsupported_image_format") == (response.status_code, fault["type"])
    assert NEVER[body] in fault["msg"]
    assert ([], 0) == (files(service), await stored(service))


async def test_an_empty_and_a_large_file_are_refused(service: Service) -> None:
    """20 MiB are taken, and a byte more is not."""
    most = RED + bytes(20 * 1024**2 - len(RED))

    assert (422, "image_load_error") == problem_of(await send(service, b""))
    assert (413, None) == problem_of(await send(service, most + b"\0"))
    assert 201 == (await send(service, most)).status_code


def problem_of(response: httpx2.Response) -> tuple[int, str | None]:
    detail = response.json()["detail"]
    return response.status_code, detail[0]["type"] if isinstance(detail, list) else None


async def test_a_request_starts_from_an_upload(service: Service) -> None:
    """In `image_urls` it is the image that was sent, and it counts for its user with the copy of the request."""
    sent = await upload(service)
    assert len(RED) == await stored(service)

    response = await edit(service, sent["url"])

    job = await service.store.jobs.get(response.json()["request_id"])
    assert job is not None
    [image] = job.spec.input_images
    data = await service.blobs.get(image.key)
    assert (255, 0, 0) == Image.open(io.BytesIO(data)).getpixel((5, 5))
    assert len(RED) + len(data) == await stored(service)


async def test_an_upload_of_another_user_is_not_found(service: Service) -> None:
    """In `image_urls` and by its id: the same response as for one that was deleted, has expired or never was."""
    bob = await service.new_key("bob")
    theirs, deleted, expired = [await upload(service, key=bob) for _ in range(3)]
    expired = await upload(service, query="?expires_in=10")
    own = await upload(service)
    deleted = await upload(service)
    unknown = own["url"].replace("uploads/", "uploads/0")
    assert 204 == (await service.client.delete(f"{URL}/{deleted['id']}")).status_code
    service.clock.time += 10

    urls = [theirs["url"], deleted["url"], expired["url"], unknown]
    folder = own["url"].partition("uploads/")[0]
    urls += [
        f"{folder}uploads/{name}" for name in ("", "%00.png", "%ED%A0%80.png", "..%2F..%2Fpipelet.db", "%2e%2e/a.png")
    ]
    refusals = [await edit(service, url) for url in urls]

    assert {422} == {each.status_code for each in refusals}
    faults = [each.json()["detail"][0] for each in refusals]
    assert {("file_download_error", faults[0]["msg"])} == {(each["type"], each["msg"]) for each in faults}
    ids = (theirs["id"], deleted["id"], expired["id"], "0" * 20, "x", "%ff")
    gone = [await service.client.delete(f"{URL}/{each}") for each in ids]
    assert {404} == {each.status_code for each in gone}
    assert 1 == len({each.text for each in gone})
    assert 200 == (await edit(service, theirs["url"], key=bob)).status_code


async def test_an_upload_that_is_deleted_is_gone_at_once(service: Service) -> None:
    """Its URL opens nothing, and its room is free; a queued request that has read it keeps its own copy."""
    sent = await upload(service)
    request_id = (await edit(service, sent["url"])).json()["request_id"]

    assert 204 == (await service.client.delete(f"{URL}/{sent['id']}")).status_code

    assert 404 == (await service.client.get(sent["url"])).status_code
    [left] = files(service)
    assert left.startswith("inputs/")
    assert 204 == (await service.client.delete(f"/api/v1/requests/{request_id}")).status_code
    assert ([], 0) == (files(service), await stored(service))


async def test_an_upload_ends_with_its_time(service: Service) -> None:
    """With the retention time, or earlier if that was asked for; never later. Maintenance deletes it, and requests that
    use it run."""
    short, usual, long = [
        await upload(service, query=query) for query in ("?expires_in=60", "", "?expires_in=999999999")
    ]
    now = service.clock.now()
    ends = [datetime.fromisoformat(each["expires_at"]).timestamp() - now for each in (short, usual, long)]
    assert [60, 30 * DAY, 30 * DAY] == ends
    request_id = (await edit(service, short["url"])).json()["request_id"]

    service.clock.time += 60
    assert 403 == (await service.client.get(short["url"])).status_code
    await maintain(service)

    assert 200 == (await service.client.get(usual["url"])).status_code
    assert 2 == len([each for each in files(service) if each.startswith("uploads/")])
    job = await service.store.jobs.get(request_id)
    assert job is not None
    assert await service.blobs.get(job.spec.input_images[0].key)
    service.clock.time += 30 * DAY
    await maintain(service)
    assert [] == [each for each in files(service) if each.startswith("uploads/")]


@pytest.mark.parametrize(
    "query", ["?expires_in=0", "?expires_in=-1", "?expires_in=soon", "?expires=60", "?expires_in=1e400"]
)
async def test_a_wrong_time_is_refused(service: Service, query: str) -> None:
    """Before the body is read."""
    response = await send(service, query=query)

    assert 422 == response.status_code
    assert "query" == response.json()["detail"][0]["loc"][0]


async def test_a_full_store_refuses_uploads(service: Service) -> None:
    """As it refuses submits: a 403 that no client retries, counted among the refusals of the user."""
    await service.store.limits.change("bob", UserLimitChanges(max_stored_bytes=len(RED) + 5))
    bob = await service.new_key("bob")
    first = await upload(service, key=bob)

    response = await send(service, key=bob)

    assert (403, "storage_limit") == (response.status_code, response.json()["error_type"])
    assert "retry-after" not in response.headers
    assert 204 == (await service.client.delete(f"{URL}/{first['id']}", headers=bearer(bob))).status_code
    assert 201 == (await send(service, key=bob)).status_code
    await service.app.state.refusals.flush()
    assert {"storage": 1} == {each.reason: n for each, n in (await service.store.limits.refusals("")).items()}


async def test_unused_uploads_are_limited(service: Service) -> None:
    """The 101st is refused until one is used or deleted."""
    sent = [await upload(service) for _ in range(100)]

    response = await send(service)

    assert (403, "upload_limit") == (response.status_code, response.json()["error_type"])
    assert 200 == (await edit(service, sent[0]["url"])).status_code
    assert 201 == (await send(service)).status_code


async def test_an_upload_that_cannot_be_stored_leaves_nothing(service: Service) -> None:
    """503, its room is free at once, and the next one is taken."""
    in_the_way = service.blobs._folder / "uploads"
    in_the_way.write_bytes(b"")

    assert 503 == (await send(service)).status_code

    assert 0 == await stored(service)
    in_the_way.unlink()
    assert 201 == (await send(service)).status_code


@pytest.mark.parametrize("is_written", [False, True])
async def test_a_process_that_is_killed_leaves_nothing(service: Service, is_written: bool) -> None:
    """It has noted its upload, and perhaps written the file, whose URL no one has: maintenance deletes both."""
    now = service.clock.now()
    lost = Upload(id="0" * 20, user="ada", key="uploads/lost.png", size=len(RED), expires_at=now + 900)
    await service.store.uploads.note(lost, is_limited=True)
    if is_written:
        await service.blobs.put(lost.key, RED, "image/png")
    url = service.blobs.signed_url(lost.key, now=now, base_url="http://pipelet.test")
    assert 422 == (await edit(service, url)).status_code

    await maintain(service)
    assert (int(is_written), len(RED)) == (len(files(service)), await stored(service))
    service.clock.time += 900
    await maintain(service)

    assert ([], 0) == (files(service), await stored(service))


async def test_an_upload_of_a_key_without_the_scope(service: Service) -> None:
    """It is refused by the name of the scope, as every route of `/api/v1` does."""
    key = await service.new_key("ada", scopes=frozenset())

    response = await send(service, key=key)

    assert (403, "missing_scope") == (response.status_code, response.json()["error_type"])


async def test_an_edit_by_our_own_api_reads_uploads(service: Service) -> None:
    """`POST /api/v1/requests` takes the URL as the queue does, and faults are at the field."""
    sent = await upload(service)
    unknown = sent["url"].replace("uploads/", "uploads/0")

    taken, refused = [
        await service.client.post("/api/v1/requests", json={"app": EDIT, "input": {"prompt": "a", "image_url": url}})
        for url in (sent["url"], unknown)
    ]

    assert 200 == taken.status_code, taken.text
    assert 1 == len(taken.json()["input_images"])
    assert ["body", "input", "image_url"] == refused.json()["detail"][0]["loc"]
