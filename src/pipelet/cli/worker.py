"""`pipelet worker`: a worker alone."""

import asyncio
import os
import sys
from pathlib import Path

import structlog

from pipelet import logs, settings, wiring
from pipelet.cli.flags import Internal
from pipelet.cli.signals import on_stop_signals
from pipelet.cli.waiting import wait_for_database
from pipelet.domain.errors import BlobsUnusable
from pipelet.domain.ports import BlobStore
from pipelet.settings import Settings
from pipelet.worker.crew import DRAINED
from pipelet.worker.every import every
from pipelet.worker.housekeeping import TURN_SECONDS
from pipelet.worker.worker import Worker

log = structlog.get_logger()


def worker(
    *,
    name: str | None = None,
    device: str | None = None,
    model: str | None = None,
    app: str | None = None,
    data_dir: Path | None = None,
    until_stdin_closes: Internal = False,
) -> int:
    """Run one worker: it claims requests from the queue and draws them, until SIGTERM, Ctrl-C or a drain.

    It needs the database and the file store of the service, and no open port. What runs is finished first, within a
    grace time, or else handed back to the queue.

    Parameters
    ----------
    name
        How it is called in logs and reports; no two workers share one. [default: the host's name and random letters]
    device
        Where the model runs: auto, cpu, cuda, cuda:1, mps. [default: auto]
    model
        What to draw with: a name in the catalog, a hub id or a folder. [default: the model in the box]
    app
        Needed only if the apps of the catalog use several models: load the model of this app, and serve every app
        that uses it. [default: the only model]
    data_dir
        Where the database and the files lie. [default: .pipelet]
    until_stdin_closes
        Stop when standard input ends: whoever holds its other end stops this worker by ending, however it ends.
    """
    chosen = settings.load(device=device, model=model, app=app, data_dir=data_dir)
    logs.configure(format=chosen.log_format, level=chosen.log_level)
    wiring.fetch_description(chosen)
    wait_for_database(chosen)
    was_drained = asyncio.run(_work(chosen, name=name, until_stdin_closes=until_stdin_closes))
    return DRAINED if was_drained and until_stdin_closes else 0


async def _work(chosen: Settings, *, name: str | None, until_stdin_closes: bool) -> bool:
    """Whether it ended because it was drained."""
    catalog = wiring.read_catalog(chosen)
    if not until_stdin_closes:  # `serve`, which starts the others, has logged it
        wiring.log_model(chosen, catalog)
    async with wiring.open_store(chosen, writes=True) as store:
        blobs = wiring.open_blobs(chosen)
        worker = wiring.build_worker(chosen, name=name, store=store, blobs=blobs, catalog=catalog)
        housekeeping = wiring.build_housekeeping(chosen, store=store, blobs=blobs)
        leases = asyncio.create_task(every(TURN_SECONDS, housekeeping.take_back_expired, name="leases"))
        deadlines = asyncio.create_task(every(TURN_SECONDS, housekeeping.end_overdue, name="deadlines"))
        trouble = asyncio.create_task(_tell_of_trouble(blobs))
        if until_stdin_closes:
            asyncio.get_running_loop().add_reader(sys.stdin, _stop_at_end, worker)
        with on_stop_signals(worker.stop):
            await worker.run()
        leases.cancel()
        deadlines.cancel()
        trouble.cancel()
    return worker.was_drained


async def _tell_of_trouble(blobs: BlobStore) -> None:
    """Of files that cannot be stored: now, and not only when the first picture is finished."""
    try:
        await blobs.check()
    except BlobsUnusable as error:
        log.error("files.unusable", reason=str(error))


def _stop_at_end(worker: Worker) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin)
        worker.stop()
