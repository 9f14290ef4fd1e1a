"""`pipelet worker`: one worker."""

import asyncio
import os
import sys
from collections.abc import Sequence

import structlog

from pipelet import logs, settings, tracing
from pipelet.cli.database import wait_for_database
from pipelet.cli.options import DataDir, Device, Internal, ModelName, WorkerApp
from pipelet.cli.signals import on_stop_signals
from pipelet.concurrency.background import background
from pipelet.concurrency.periodic import run_periodically
from pipelet.domain.catalog import Catalog
from pipelet.domain.errors import BlobStoreError, PipeletError
from pipelet.domain.ports.blobs import BlobStore
from pipelet.services.queue.maintenance import INTERVAL_SECONDS
from pipelet.settings import Settings
from pipelet.wiring.background import build_maintenance
from pipelet.wiring.blobs import open_blobs
from pipelet.wiring.catalog import apps_of_workers, fetch_description, log_model, read_catalog
from pipelet.wiring.store import open_store
from pipelet.wiring.supervisor import build_supervisor
from pipelet.wiring.worker import build_worker
from pipelet.worker.supervisor import DRAINED, Place
from pipelet.worker.worker import Worker

log = structlog.get_logger()


def worker(
    *,
    name: str | None = None,
    device: Device = None,
    model: ModelName = None,
    app: WorkerApp = None,
    data_dir: DataDir = None,
    until_stdin_closes: Internal = False,
) -> int:
    """Run a worker: it claims requests from the queue and generates their images, until SIGTERM, Ctrl-C or a drain.

    It needs the database and the file store of the service, and no open port. When it stops, running requests may
    finish within a grace period; the others go back to the queue. If the apps use several models, it runs one worker
    for each, on the same device.

    Parameters
    ----------
    name
        Unique name in logs and reports; of several workers, how their names begin. [default: the host name and random
        letters]
    until_stdin_closes
        Stop when standard input ends, so that the worker never outlives the process that started it.
    """
    chosen = settings.load(device=device, model=model, worker_app=app, data_dir=data_dir)
    logs.configure(format=chosen.log_format, level=chosen.log_level)
    fetch_description(chosen)
    wait_for_database(chosen)
    catalog = read_catalog(chosen)
    if not until_stdin_closes:  # else the process that started this worker has logged it
        log_model(chosen, catalog)
    places = [Place(chosen.device, app) for app in apps_of_workers(chosen, catalog)]
    if len(places) > 1 and not until_stdin_closes:
        asyncio.run(_supervise(chosen, places, host=name))
        return 0
    with tracing.exporting("pipelet-worker", sample_ratio=chosen.trace_sample_ratio):
        was_drained = asyncio.run(_work(chosen, catalog, name=name, until_stdin_closes=until_stdin_closes))
    return DRAINED if was_drained and until_stdin_closes else 0


async def _supervise(chosen: Settings, places: Sequence[Place], *, host: str | None) -> None:
    """Run a worker process in each of `places`, until a stop or until all are drained."""
    async with open_store(chosen, writes=True) as store:
        supervisor = build_supervisor(chosen, store=store, places=places, host=host)
        with on_stop_signals(supervisor.stop):
            await supervisor.run()


async def _work(chosen: Settings, catalog: Catalog, *, name: str | None, until_stdin_closes: bool) -> bool:
    """Run the worker. Return whether it ended because it was drained."""
    async with open_store(chosen, writes=True) as store:
        blobs = open_blobs(chosen)
        worker = build_worker(chosen, name=name, store=store, blobs=blobs, catalog=catalog)
        maintenance = build_maintenance(chosen, store=store, blobs=blobs)
        loops = (
            run_periodically(INTERVAL_SECONDS, maintenance.requeue_expired, name="leases", expected=PipeletError),
            run_periodically(INTERVAL_SECONDS, maintenance.expire_overdue, name="deadlines", expected=PipeletError),
            _warn_if_blob_store_fails(blobs),
        )
        async with background(*loops):
            if until_stdin_closes:
                asyncio.get_running_loop().add_reader(sys.stdin, _stop_at_end, worker)
            with on_stop_signals(worker.stop):
                await worker.run()
    return worker.was_drained


async def _warn_if_blob_store_fails(blobs: BlobStore) -> None:
    """Log at the start that files cannot be stored, instead of when the first image is finished."""
    try:
        await blobs.check()
    except BlobStoreError as error:
        log.error("blob_store.check_failed", reason=str(error))
    except Exception:  # a bug in this check must not end the worker
        log.exception("blob_store.check_failed")


def _stop_at_end(worker: Worker) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin)
        worker.stop()
