"""`pipelet queue`: look at the queue, and steer it. Straight in the database: the service may run meanwhile, or not."""

import json
import sys
from dataclasses import replace
from pathlib import Path

from cyclopts import App

from pipelet import settings, wiring
from pipelet.api.estimates import Estimates
from pipelet.cli import overview
from pipelet.cli.flags import AsJson
from pipelet.cli.in_store import in_store
from pipelet.domain.catalog import Catalog
from pipelet.domain.ids import new_request_id
from pipelet.domain.job import Job, State
from pipelet.domain.ports import JobStore

REFUSED = 1

app = App(name="queue", help="Look at the queue, and steer it.")


@app.default
def show(*, as_json: AsJson = False, data_dir: Path | None = None) -> None:
    """Show what waits and runs of each app, how fast it goes, and who works on it.

    For example:

        pipelet queue

        pipelet queue --json

    Parameters
    ----------
    as_json
        Print one JSON object and nothing else; times are in seconds.
    data_dir
        Where the database lies. [default: .pipelet]
    """
    chosen = settings.load(data_dir=data_dir)
    catalog = wiring.read_catalog(chosen)
    found = in_store(chosen, lambda store: overview.look(store, catalog))
    if as_json:
        print(json.dumps(found.as_json()))
    else:
        overview.show(found)


@app.command
def pause(app_name: str, /, *, data_dir: Path | None = None) -> int:
    """Begin no request of an app any more, from now on and through restarts, until `pipelet queue resume`.

    Requests are accepted and wait, and what runs goes on.

    For example:

        pipelet queue pause z-image-text-to-image

    Parameters
    ----------
    app_name
        Which app.
    data_dir
        Where the database lies. [default: .pipelet]
    """
    chosen = settings.load(data_dir=data_dir)
    known = wiring.read_catalog(chosen).served_apps()
    if app_name not in known:
        return _refuse(f"There is no app {app_name} here. There are: {', '.join(known)}.")
    in_store(chosen, lambda store: store.pause(app_name, store.clock.now()))
    print(f"Paused: {app_name}. Its requests wait until `pipelet queue resume {app_name}`.")
    return 0


@app.command
def resume(app_name: str, /, *, data_dir: Path | None = None) -> int:
    """Go on with an app that was paused.

    For example:

        pipelet queue resume z-image-text-to-image

    Parameters
    ----------
    app_name
        Which app.
    data_dir
        Where the database lies. [default: .pipelet]
    """
    if not in_store(settings.load(data_dir=data_dir), lambda store: store.resume(app_name)):
        return _refuse(f"{app_name} is not paused.")
    print(f"Resumed: {app_name}.")
    return 0


@app.command
def drain(worker: str, /, *, data_dir: Path | None = None) -> int:
    """Have a worker claim nothing more, finish what it draws, and end.

    It hears of that within a quarter of a lease (PIPELET_LEASE_SECONDS). The place of a worker of `pipelet serve` stays
    empty until the service is restarted.

    For example:

        pipelet queue drain gpu-7-5f0c11de

    Parameters
    ----------
    worker
        Its name, as `pipelet queue` shows it.
    data_dir
        Where the database lies. [default: .pipelet]
    """
    if not in_store(settings.load(data_dir=data_dir), lambda store: store.drain_worker(worker, store.clock.now())):
        return _refuse(f"No worker of the name {worker} is running. See `pipelet queue`.")
    print(f"Draining: {worker} ends when it has finished what it draws.")
    return 0


@app.command
def front(request_id: str, /, *, data_dir: Path | None = None) -> int:
    """Move a waiting request to the front: it is the next one that begins, whatever its priority.

    For example:

        pipelet queue front rn5r12q9pdu6yvb3nxty

    Parameters
    ----------
    request_id
        Whose request it is does not matter.
    data_dir
        Where the database lies. [default: .pipelet]
    """

    async def move(store: JobStore) -> str | None:
        """What is in the way."""
        if await store.move_to_front(request_id, store.clock.now()):
            return None
        return _does_not_wait(request_id, await store.get(request_id))

    if refusal := in_store(settings.load(data_dir=data_dir), move):
        return _refuse(refusal)
    print(f"Moved: {request_id} is next.")
    return 0


@app.command
def retry(request_id: str, /, *, data_dir: Path | None = None) -> int:
    """Queue a request anew that failed or was cancelled: the same pictures, with the same seed, for the same user.

    The new request has a new id, which is printed; the old one stays as it ended. The limits of its key hold.

    For example:

        pipelet queue retry rn5r12q9pdu6yvb3nxty

    Parameters
    ----------
    request_id
        Whose request it is does not matter.
    data_dir
        Where the database lies. [default: .pipelet]
    """
    chosen = settings.load(data_dir=data_dir)
    catalog = wiring.read_catalog(chosen)

    async def submit_again(store: JobStore) -> tuple[str, str | None]:
        job = await store.get(request_id)
        if job is None or job.failure is None:
            return "", _has_not_failed(request_id, job)
        if not job.keeps_input:
            return "", f"The input of {request_id} was not to be kept, and is gone: only its user can submit it again."
        if job.spec.unread:
            return "", f"{request_id} was submitted to a newer version of Pipelet. Retry it with that version."
        return (await store.submit(await _again(store, catalog, job))).id, None

    new_id, refusal = in_store(chosen, submit_again)
    if refusal:
        return _refuse(refusal)
    print(new_id)
    print(f"Queued anew; the user of {request_id} finds it under this id.", file=sys.stderr)
    return 0


async def _again(store: JobStore, catalog: Catalog, job: Job) -> Job:
    estimates = Estimates(store, catalog, store.clock)
    again = job.again(new_request_id(), store.clock.now())
    backlog = await estimates.backlog(again.app, again.priority)
    expected_seconds = await estimates.expected_seconds(again.app, again.spec, again.work, backlog)
    return replace(again, expected_seconds=expected_seconds)


def _has_not_failed(request_id: str, job: Job | None) -> str:
    if job is None:
        return _unknown(request_id)
    if job.state is State.SUCCEEDED:
        return f"{request_id} has succeeded: only what failed or was cancelled can be tried again."
    return f"{request_id} has not ended: it {'waits' if job.state is State.QUEUED else 'runs'}."


def _does_not_wait(request_id: str, job: Job | None) -> str:
    if job is None:
        return _unknown(request_id)
    return f"{request_id} does not wait any more: it {'has begun' if job.state is State.RUNNING else 'has ended'}."


def _unknown(request_id: str) -> str:
    return f"There is no request with the id {request_id}. It may have expired."


def _refuse(message: str) -> int:
    print(f"pipelet: {message}", file=sys.stderr)
    return REFUSED
