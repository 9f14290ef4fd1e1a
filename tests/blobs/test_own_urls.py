"""An image that we generated is edited by the URL that its result named, also where the bucket is on a private
network."""

import httpx2
import pytest

from pipelet.domain.clock import SystemClock
from pipelet.domain.errors import InvalidImage
from pipelet.outbound import public_only_client
from pipelet.services.input_images.fetch import HttpClients, ImageFetcher
from tests.blobs.conftest import MakeS3

KEY = "outputs/a/girl.png"


async def test_a_file_in_our_bucket_is_read_by_its_url(make_s3: MakeS3) -> None:
    """The server decides by the signature; outside of our files nothing is reached."""
    blobs = make_s3()
    await blobs.put(KEY, b"pixels", "image/png")
    url = blobs.signed_url(KEY, now=SystemClock().now(), base_url="")
    async with public_only_client() as public, httpx2.AsyncClient() as storage:
        http_clients = HttpClients(public=public, storage=storage)
        downloads = ImageFetcher(http_clients=http_clients, blobs=blobs, signed_files=None, clock=SystemClock())

        assert b"pixels" == await downloads.read(url, base_url="http://pipelet.test", user="ann")
        with pytest.raises(InvalidImage, match="returned 403"):
            await downloads.read(
                url[:-1] + ("0" if url[-1] != "0" else "1"), base_url="http://pipelet.test", user="ann"
            )
        server = url.partition("/pictures/")[0]
        for other in (server + "/", url.replace("outputs/", "outputs/..%2F../"), server + "/secrets/" + KEY):
            with pytest.raises(InvalidImage, match="not on the public internet"):
                await downloads.read(other, base_url="http://pipelet.test", user="ann")
