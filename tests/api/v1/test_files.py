"""Thumbnails and archives of images."""

import io
import zipfile

from PIL import Image

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.jobs.outcome import Succeeded
from tests.api.service import Service, stored_image
from tests.api.v1.calls import LIST, call, get


async def test_thumbnails_are_cached_privately(service: Service, blobs: DiskBlobStore) -> None:
    """They are made from the image where none is stored, and go with the request."""
    request_id = await service.submit(batch_size=2)
    file = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(file, "PNG")
    await service.succeed(await service.claim(), data=file.getvalue())
    urls = (await get(service, LIST))["items"][0]["thumbnails"]

    response = await service.client.get(urls[1])

    assert 2 == len(urls)
    assert (200, "image/webp", "private, max-age=86400") == (
        response.status_code,
        response.headers["content-type"],
        response.headers["cache-control"],
    )
    with Image.open(io.BytesIO(response.content)) as small:
        assert (320, 240) == small.size
    for wrong in ("2", "-1", "x", "9" * 30, "0x1", "١"):
        await get(service, f"{LIST}/{request_id}/thumbnails/{wrong}", status=404)
    await call(service, "DELETE", f"{LIST}/{request_id}", status=204)
    assert 404 == (await service.client.get(urls[1])).status_code
    assert [] == [path for path in blobs._folder.rglob("*") if path.is_file()]


async def test_an_archive_has_the_images_of_several_requests(service: Service, blobs: DiskBlobStore) -> None:
    """A folder for each; an image that is gone is named. An id that the caller may not see refuses all of it."""
    first, second = await service.submit(), await service.submit()
    await service.succeed(await service.claim(), data=b"first" * 1000)
    lease = await service.claim()
    lost = stored_image(lease.job, 7, 5)
    await service.store.files.reserve(lease, [lost.key])
    await service.store.leases.finish(lease, Succeeded((lost,), 1.0), service.clock.now())

    response = await service.client.get(f"{LIST}/archive?ids={first},{second}")

    assert (200, "application/zip") == (response.status_code, response.headers["content-type"])
    with zipfile.ZipFile(io.BytesIO(response.content)) as packed:
        names = packed.namelist()
        assert [first, "missing.txt"] == [name.partition("/")[0] for name in names]
        assert b"first" * 1000 == packed.read(names[0])
        assert f"{second}/{lost.file_name}\n" == packed.read("missing.txt").decode()
        assert zipfile.ZIP_STORED == packed.infolist()[0].compress_type
    bob = await service.new_key("bob")
    await get(service, f"{LIST}/archive?ids={first}", status=404, key=bob)
    await get(service, f"{LIST}/archive?ids={first},{'0' * 20}", status=404)
    for ids in ("", "x", ",".join([first] * 101)):
        await get(service, f"{LIST}/archive?ids={ids}", status=422)
