"""What files on S3 do besides what all stores do: where they are stored, how their URLs look, and what goes wrong."""

import asyncio
import json
import socket
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from pipelet import settings
from pipelet.domain.errors import BlobStoreError
from pipelet.domain.ports.blobs import BlobStore
from pipelet.wiring.blobs import open_blobs
from tests.blobs.conftest import MakeS3
from tests.support.servers.s3 import BUCKET, HOST_SUFFIX, KEY, READER, SECRET, S3Server
from tests.support.servers.tcp import in_background, listening
from tests.support.servers.web import WebServer, whole

FILE = "outputs/z_image_text_to_image_api/2DPBix_z_image_text_to_image__00001_.png"


def url_of(blobs: BlobStore, key: str = FILE) -> str:
    return blobs.signed_url(key, now=time.time(), base_url="http://pipelet.test")


async def test_files_lie_below_the_prefix(make_s3: MakeS3, s3_server: S3Server) -> None:
    """So does what checks leave; stores with other prefixes share a bucket and do not meet."""
    one, two = make_s3(prefix="shared/one"), make_s3(prefix="shared/two")
    for blobs in (one, two):
        await blobs.put(FILE, b"pixels", "image/png")
        await blobs.check()

    await two.delete(FILE)

    left = {f"shared/one/{FILE}", "shared/one/.pipelet-check", "shared/two/.pipelet-check"}
    assert left == s3_server.keys("shared")


async def test_a_bucket_may_be_used_without_a_prefix(make_s3: MakeS3, s3_server: S3Server) -> None:
    """Then a file's key is its name in the bucket."""
    blobs = make_s3(prefix="")

    await blobs.put("no-prefix.png", b"pixels", "image/png")

    assert {"no-prefix.png"} <= s3_server.keys()
    assert 200 == httpx2.get(url_of(blobs, "no-prefix.png")).status_code


async def test_urls_are_signed_when_they_are_read(make_s3: MakeS3) -> None:
    """With signature version 4, as of now, for as long as the settings say, and with the token of temporary keys."""
    before = datetime.now(UTC)
    query = parse_qs(urlsplit(url_of(make_s3(session_token="token"))).query)

    assert ["AWS4-HMAC-SHA256"] == query["X-Amz-Algorithm"]
    assert ["7200"] == query["X-Amz-Expires"]
    assert ["token"] == query["X-Amz-Security-Token"]
    signed_at = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
    assert before.replace(microsecond=0) <= signed_at <= datetime.now(UTC)


async def test_clients_may_come_by_another_way(make_s3: MakeS3) -> None:
    """URLs name the address that clients reach, while files are stored by our own."""
    blobs = make_s3(public_endpoint="https://files.example.com")
    await blobs.put(FILE, b"pixels", "image/png")

    parts = urlsplit(url_of(blobs))

    assert ("https", "files.example.com") == (parts.scheme, parts.netloc)
    assert parts.path.startswith(f"/{BUCKET}/")


async def test_the_bucket_may_stand_in_the_hosts_name(make_s3: MakeS3, s3_server: S3Server) -> None:
    """Such URLs are good ones for a server that is reached by that name."""
    port = urlsplit(s3_server.endpoint).port
    blobs = make_s3(public_endpoint=f"http://{HOST_SUFFIX}:{port}", virtual_hosted=False)
    in_name = make_s3(public_endpoint=f"http://{HOST_SUFFIX}:{port}", virtual_hosted=True)
    await blobs.put(FILE, b"pixels", "image/png")

    parts = urlsplit(url_of(in_name))
    found = httpx2.get(f"{s3_server.endpoint}{parts.path}?{parts.query}", headers={"Host": parts.netloc})

    assert f"{BUCKET}.{HOST_SUFFIX}:{port}" == parts.netloc
    assert not parts.path.startswith(f"/{BUCKET}/")
    assert b"pixels" == found.content


@pytest.mark.parametrize(
    ("url", "changes", "begins"),
    [
        ("s3://pictures/a", {}, "https://pictures.s3.eu-central-1.amazonaws.com/a/outputs/"),
        ("s3://my.pictures", {}, "https://s3.eu-central-1.amazonaws.com/my.pictures/outputs/"),
        ("s3://pictures/a", {"AWS_ENDPOINT_URL": "http://minio:9000"}, "http://minio:9000/pictures/a/outputs/"),
        (
            "s3://pictures",
            {"AWS_ENDPOINT_URL": "http://minio:9000", "s3_public_url": "https://s3.example.com/"},
            "https://s3.example.com/pictures/outputs/",
        ),
    ],
)
def test_urls_are_of_the_place_that_the_settings_name(
    monkeypatch: pytest.MonkeyPatch, url: str, changes: dict[str, str], begins: str
) -> None:
    """AWS where no endpoint is set, with the bucket in the host's name, unless its own name has a dot."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    for name in [name for name in changes if name.startswith("AWS_")]:
        monkeypatch.setenv(name, changes[name])
    flags = {name: value for name, value in changes.items() if not name.startswith("AWS_")}

    blobs = open_blobs(settings.load(blobs_url=url, **flags))

    assert url_of(blobs).startswith(begins)


async def test_without_a_key_the_role_of_the_machine_is_used(
    make_s3: MakeS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys come from where AWS says that a container's are, and both storing and signing work with them."""
    keys = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": "", "Expiration": "2099-01-01T00:00:00Z"}
    (tmp_path / "token").write_text("the bearer of this may ask")
    with responding(200, json.dumps(keys)) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
        blobs = make_s3(access_key_id="", secret_access_key="")

        await blobs.put(FILE, b"pixels", "image/png")

        assert f"{KEY}%2F" in url_of(blobs)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"secret_access_key": "wrong"}, "AWS_SECRET_ACCESS_KEY"),
        ({"access_key_id": "WRONG"}, "AWS_ACCESS_KEY_ID"),
        ({"bucket": "missing"}, "has no bucket missing. Make it, or name another: PIPELET_BLOBS_URL"),
        ({"access_key_id": READER[0], "secret_access_key": READER[1]}, "needs s3:PutObject"),
        ({"endpoint": "http://127.0.0.1:1"}, "http://127.0.0.1:1 cannot be reached. Check AWS_ENDPOINT_URL"),
        ({"endpoint": "http://no-such-host.invalid"}, "The name of .* is not known"),
    ],
    ids=["secret", "key", "bucket", "rights", "server", "name"],
)
async def test_what_is_wrong_is_named(make_s3: MakeS3, changes: dict[str, str], advice: str) -> None:
    """Every call says the same: what is wrong, and which setting to look at. No secret is told."""
    blobs = make_s3(**changes)

    for call in (blobs.check(), blobs.put(FILE, b"pixels", "image/png"), blobs.delete(FILE)):
        with pytest.raises(BlobStoreError, match=advice) as caught:
            await call
        assert "\n" not in str(caught.value)
        assert SECRET not in str(caught.value)


async def test_a_machine_without_keys_is_told_what_to_set(make_s3: MakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a key was given nor is there a role to have one from: storing and signing say so."""
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    blobs = make_s3(access_key_id="", secret_access_key="")

    with pytest.raises(BlobStoreError, match="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give"):
        await blobs.check()
    with pytest.raises(BlobStoreError, match="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give"):
        url_of(blobs)


async def test_tls_that_the_server_does_not_speak_is_named(make_s3: MakeS3, s3_server: S3Server) -> None:
    """The scheme of the endpoint is what to change."""
    blobs = make_s3(endpoint=s3_server.endpoint.replace("http:", "https:"))

    with pytest.raises(BlobStoreError, match="does not speak TLS"):
        await blobs.check()


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", "Set the clock of this machine"),
        (400, "<Error><Code>ExpiredToken</Code></Error>", "Renew AWS_SESSION_TOKEN"),
        (400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>", "Set AWS_REGION"),
        (301, "<Error><Code>PermanentRedirect</Code></Error>", "Set AWS_REGION"),
        (503, "<Error><Code>SlowDown</Code></Error>", "is busy"),
        (507, "<Error><Code>XMinioStorageFull</Code></Error>", "is full"),
        (418, "<Error><Code>TeapotsHaveNoBuckets</Code></Error>", "TeapotsHaveNoBuckets"),
        (404, "404 page not found", "404 Not Found"),
    ],
)
async def test_what_servers_return_is_explained(make_s3: MakeS3, status: int, body: str, advice: str) -> None:
    """Faults that a healthy server cannot be made to have; a page that is missing is not taken for a deleted file."""
    with responding(status, body) as server:
        blobs = make_s3(endpoint=server.url)

        for call in (blobs.check(), blobs.put(FILE, b"pixels", "image/png"), blobs.delete(FILE)):
            with pytest.raises(BlobStoreError, match=advice):
                await call


async def test_no_server_is_asked_twice(make_s3: MakeS3) -> None:
    """The caller decides about retries, so one call is one request."""
    with responding(503, "<Error><Code>SlowDown</Code></Error>") as server, pytest.raises(BlobStoreError):
        await make_s3(endpoint=server.url).put(FILE, b"pixels", "image/png")

    assert ["PUT"] == [request.method for request in server.requests]


async def test_a_connection_that_breaks_off_is_told(make_s3: MakeS3) -> None:
    """A server that hangs up in the middle has not got the file."""

    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)

    async with listening(hang_up) as port:
        blobs = make_s3(endpoint=f"http://127.0.0.1:{port}")

        with pytest.raises(BlobStoreError, match="broke off"):
            await blobs.put(FILE, b"pixels", "image/png")


async def test_a_server_that_says_nothing_is_given_up(make_s3: MakeS3) -> None:
    """It takes the connection and does not respond: looking whether it is well ends all the same."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        blobs = make_s3(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")

        with pytest.raises(BlobStoreError, match="does not answer in time"):
            await blobs.check()


async def test_a_short_silence_is_sat_out(make_s3: MakeS3, s3_server: S3Server) -> None:
    """A server that hangs for a moment gets the file all the same."""
    blobs = make_s3()
    with s3_server.paused():
        storing = asyncio.create_task(blobs.put(FILE, b"pixels", "image/png"))
        await asyncio.wait({storing}, timeout=0.2)
        assert not storing.done()
    await storing

    assert b"pixels" == httpx2.get(url_of(blobs)).content


def responding(status: int, body: str) -> AbstractContextManager[WebServer]:
    """A server that always returns this. In the background: some calls of the library hold the event loop up."""
    return in_background(WebServer(lambda _: whole(body.encode(), f"{status} So")))
