"""A picture that we drew is edited by the URL that its result named, also where the bucket is on a private network."""

import httpx2
import pytest

from pipelet.api.downloads import Downloads, Fetchers
from pipelet.api.pictures import PictureRefused
from pipelet.domain.clock import SystemClock
from pipelet.outbound import guarded_client
from tests.blobs.conftest import MakeS3

KEY = "outputs/a/girl.png"


async def test_a_file_in_our_bucket_is_read_by_its_url(make_s3: MakeS3) -> None:
    """The server decides by the signature; beside our files nothing of it is reached."""
    blobs = make_s3()
    await blobs.put(KEY, b"pixels", "image/png")
    url = blobs.url(KEY, now=SystemClock().now(), base_url="")
    async with guarded_client() as strangers, httpx2.AsyncClient() as storage:
        fetchers = Fetchers(strangers=strangers, storage=storage)
        downloads = Downloads(fetchers=fetchers, blobs=blobs, local_files=None, clock=SystemClock())

        assert b"pixels" == await downloads.read(url, base_url="http://pipelet.test", user="ann")
        with pytest.raises(PictureRefused, match="answered 403"):
            await downloads.read(
                url[:-1] + ("0" if url[-1] != "0" else "1"), base_url="http://pipelet.test", user="ann"
            )
        server = url.partition("/pictures/")[0]
        for other in (server + "/", url.replace("outputs/", "outputs/..%2F../"), server + "/secrets/" + KEY):
            with pytest.raises(PictureRefused, match="not on the public internet"):
                await downloads.read(other, base_url="http://pipelet.test", user="ann")
