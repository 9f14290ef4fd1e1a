"""Side tasks of `serve` and `worker`: one that fails is logged, and ends nothing else."""

import asyncio
from pathlib import Path

import structlog
from starlette.applications import Starlette

from pipelet import settings
from pipelet.blobs.disk import DiskBlobStore
from pipelet.cli.commands.operator.serve import _serve_metrics
from pipelet.cli.commands.operator.worker import _warn_if_blob_store_fails
from pipelet.cli.listen import listen_for_metrics


def disk(folder: Path) -> DiskBlobStore:
    return DiskBlobStore(folder, signing_key=b"k" * 32, url_ttl_seconds=60)


async def test_metrics_that_cannot_be_served_are_logged(tmp_path: Path) -> None:
    """If the socket of the metrics fails, the API continues without them."""
    chosen = settings.load(metrics_address="127.0.0.1:0")
    listener = listen_for_metrics(chosen)
    assert listener is not None

    with structlog.testing.capture_logs() as lines:
        serving = asyncio.create_task(_serve_metrics(Starlette(), listener))
        await asyncio.sleep(0)  # it has begun
        listener.close()
        await serving

    assert [("metrics.failed", "error")] == [(line["event"], line["log_level"]) for line in lines]


async def test_a_worker_logs_at_its_start_that_files_cannot_be_stored(tmp_path: Path) -> None:
    """The line names the reason; where files can be stored there is none."""
    good, bad = disk(tmp_path / "good"), disk(tmp_path / "bad")
    (tmp_path / "bad").rename(tmp_path / "moved")
    (tmp_path / "bad").write_text("a file in place of the folder")

    with structlog.testing.capture_logs() as lines:
        await _warn_if_blob_store_fails(good)
        await _warn_if_blob_store_fails(bad)

    assert ["blob_store.check_failed"] == [line["event"] for line in lines]
    assert str(tmp_path / "bad") in lines[0]["reason"]


async def test_a_check_of_files_that_crashes_ends_no_worker(tmp_path: Path) -> None:
    """An error that the check does not expect is logged with its traceback."""
    blobs = disk(tmp_path / "files")
    await asyncio.get_running_loop().shutdown_default_executor()

    with structlog.testing.capture_logs() as lines:
        await _warn_if_blob_store_fails(blobs)

    assert [("blob_store.check_failed", True)] == [(line["event"], line["exc_info"]) for line in lines]
