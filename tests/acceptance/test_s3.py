"""The service with its files on S3, on good days and bad ones."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from pipelet.client import Client
from tests.support.images import fetched, png
from tests.support.jobs import APP
from tests.support.servers.s3 import BUCKET, S3Server
from tests.support.service import Service
from tests.support.waiting import eventually

PREFIX = "service/files"


@pytest.fixture
def own_s3_server(tmp_path: Path) -> Iterator[S3Server]:
    """One that a test may kill."""
    with S3Server(tmp_path / "s3") as server:
        yield server


def on_s3(folder: Path, server: S3Server, variables: dict[str, str] | None = None, **settings: str) -> Service:
    settings = {"blobs_url": f"s3://{BUCKET}/{PREFIX}"} | settings
    return Service(folder, settings=settings, variables=server.variables() | (variables or {}))


def test_while_s3_is_unavailable_generation_continues_and_nothing_is_lost(
    tmp_path: Path, own_s3_server: S3Server
) -> None:
    """Until some finished images wait; then requests do. When it is back all end well, in their first attempts."""
    with on_s3(tmp_path, own_s3_server, lease_seconds="2") as service:
        service.wait_for_worker()
        before = service.submit("before")
        service.wait(before)
        own_s3_server.kill()
        requests = [service.submit(f"image {number}") for number in range(6)]

        # By then a lease that is not extended is over.
        generated = eventually(lambda: enough(storing_in_vain(service, seconds=3), 3), why="three images wait")
        statuses = [service.status(request_id)["status"] for request_id in requests]
        code, health = service.call("GET", "/health/ready")
        own_s3_server.start()
        ended = [service.wait(request_id) for request_id in requests]

        assert set(requests[:3]) == generated
        assert ["IN_PROGRESS"] * 3 + ["IN_QUEUE"] * 3 == statuses
        assert 200 == code
        assert f"{own_s3_server.endpoint} cannot be reached" in health["checks"]["blobs"]
        assert not any("error" in status for status in ended)
        assert [before, *requests] == [line["request_id"] for line in service.lines("attempt.started")]
        for request_id in (before, *requests):
            assert (64, 64) == image_of(service, request_id).size
        assert 200 == service.call("GET", "/health/ready")[0]


def test_old_files_are_deleted_from_s3(tmp_path: Path, s3_server: S3Server) -> None:
    """After the retention time their requests are gone and so are they, and uploads after theirs; before, each has its
    own URL on the server."""
    with on_s3(tmp_path, s3_server, blobs_url=f"s3://{BUCKET}/retention") as service:
        with Client(service.url, service.key) as client:
            upload = client.upload(png(), expires_in=1)
        assert upload.url.startswith(f"{s3_server.endpoint}/{BUCKET}/retention/uploads/")
        assert (96, 64) == fetched(upload.url).size
        service.wait_for_worker()
        request_id = service.submit("a fox", batch_size=3)
        service.wait(request_id)
        stored = images(s3_server, "retention")
        image = image_of(service, request_id)

        assert 3 + 1 == len(stored)
        assert (64, 64) == image.size
        assert 404 == service.call("GET", "/files/outputs/a.png")[0]

        service.stop()
        eventually(lambda: datetime.now(UTC) > datetime.fromisoformat(upload.expires_at))
        service.settings["retention_days"] = "0.000001"  # a tenth of a second: it is over when the service has started
        service.start()
        eventually(lambda: not images(s3_server, "retention"), why="the files are deleted")
        assert 404 == service.call("GET", f"/fal/queue/{APP}/requests/{request_id}")[0]


def test_a_wrong_secret_is_told_and_costs_no_request(tmp_path: Path, s3_server: S3Server) -> None:
    """The log and readiness name the variable at once; what was accepted is generated when that is put right."""
    with on_s3(tmp_path, s3_server, {"AWS_SECRET_ACCESS_KEY": "wrong"}, shutdown_grace_seconds="0") as service:
        eventually(lambda: "blob_store.check_failed" in service.log(), why="the worker looks at its files")
        code, health = service.call("GET", "/health/ready")
        request_id = service.submit("a fox")
        eventually(lambda: storing_in_vain(service), why="the image is generated")

        assert 200 == code
        assert "Check AWS_SECRET_ACCESS_KEY" in health["checks"]["blobs"]
        assert "Check AWS_SECRET_ACCESS_KEY" in service.log()

        service.stop()
        service.variables |= s3_server.variables()
        service.start()
        assert (64, 64) == image_of(service, request_id).size


def enough(found: set[str], count: int) -> set[str] | None:
    return found if len(found) >= count else None


def storing_in_vain(service: Service, *, seconds: float = 0) -> set[str]:
    """Requests whose files could not be stored, for that time at least."""
    since = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    return {line["request_id"] for line in service.lines("storage.retrying") if line["timestamp"] < since}


def images(server: S3Server, prefix: str) -> set[str]:
    return {key for key in server.keys(prefix) if key.endswith(".png")}


def image_of(service: Service, request_id: str) -> Image.Image:
    """The first of a result, by its URL and without a key."""
    return fetched(service.result(request_id)["images"][0]["url"])
