"""`pipelet queue`: look at the queue, and steer it. Straight in the database: the service may run meanwhile, or not."""

import json
import sys
from dataclasses import replace

from cyclopts import App

from pipelet import settings, wiring
from pipelet.api.estimates import Estimates
from pipelet.cli import overview
from pipelet.cli.flags import AsJson, DataDir
from pipelet.cli.in_store import Refused, in_store, key_called, request_of
from pipelet.cli.tables import requests
from pipelet.domain.catalog import Catalog
from pipelet.domain.ids import new_request_id
from pipelet.domain.job import Job, State
from pipelet.domain.ports import JobStore

app = App(name="queue", help="Look at the queue, and steer it.")


@app.default
def show(*, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show what waits and runs of each app, how fast it goes, and who works on it.

    For example:

        pipelet queue

        pipelet queue --json

    Parameters
    ----------
    as_json
        Print one JSON object and nothing else; times are in seconds.
    """
    chosen = settings.load(data_dir=data_dir)
    catalog = wiring.read_catalog(chosen)
    found = in_store(chosen, lambda store: overview.look(store, catalog))
    if as_json:
        print(json.dumps(found.as_json()))
    else:
        overview.show(found)


@app.command
def pause(app_name: str, /, *, data_dir: DataDir = None) -> None:
    """Begin no request of an app any more, from now on and through restarts, until `pipelet queue resume`.

    Requests are accepted and wait, and what runs goes on.

    For example:

        pipelet queue pause z-image-text-to-image

    Parameters
    ----------
    app_name
        Which app.
    """
    chosen = settings.load(data_dir=data_dir)
    known = wiring.read_catalog(chosen).served_apps()
    if app_name not in known:
        raise Refused(f"There is no app {app_name} here. There are: {', '.join(known)}.")
    in_store(chosen, lambda store: store.pause(app_name, store.clock.now()))
    print(f"Paused: {app_name}. Its requests wait until `pipelet queue resume {app_name}`.")


@app.command
def resume(app_name: str, /, *, data_dir: DataDir = None) -> None:
    """Go on with an app that was paused.

    For example:

        pipelet queue resume z-image-text-to-image

    Parameters
    ----------
    app_name
        Which app.
    """
    if not in_store(settings.load(data_dir=data_dir), lambda store: store.resume(app_name)):
        raise Refused(f"{app_name} is not paused.")
    print(f"Resumed: {app_name}.")


@app.command
def drain(worker: str, /, *, data_dir: DataDir = None) -> None:
    """Have a worker claim nothing more, finish what it draws, and end.

    It hears of that within a quarter of a lease (PIPELET_LEASE_SECONDS). The place of a worker of `pipelet serve` stays
    empty until the service is restarted.

    For example:

        pipelet queue drain gpu-7-5f0c11de

    Parameters
    ----------
    worker
        Its name, as `pipelet queue` shows it.
    """
    if not in_store(settings.load(data_dir=data_dir), lambda store: store.drain_worker(worker, store.clock.now())):
        raise Refused(f"No worker of the name {worker} is running. See `pipelet queue`.")
    print(f"Draining: {worker} ends when it has finished what it draws.")


@app.command
def front(request_id: str, /, *, data_dir: DataDir = None) -> None:
    """Move a waiting request to the front: it is the next one that begins, whatever its priority.

    For example:

        pipelet queue front rn5r12q9pdu6yvb3nxty

    Parameters
    ----------
    request_id
        Whose request it is does not matter.
    """

    async def move(store: JobStore) -> None:
        if not await store.move_to_front(request_id, store.clock.now()):
            raise _begun(await request_of(store, request_id))

    in_store(settings.load(data_dir=data_dir), move)
    print(f"Moved: {request_id} is next.")


@app.command
def cancel(
    request_id: str | None = None, /, *, user: str | None = None, key: str | None = None, data_dir: DataDir = None
) -> None:
    """Cancel a request that waits, or all waiting requests of a user or of a key.

    They never run, and their webhooks are sent, as if their users had cancelled them. Requests that have begun go on.
    The exit code is 1 where a single request has begun or has ended.

    For example:

        pipelet queue cancel rn5r12q9pdu6yvb3nxty

        pipelet queue cancel --user bob

        pipelet queue cancel --key 0c94d2a7b1e3

    Parameters
    ----------
    request_id
        Whose request it is does not matter.
    user
        All requests of this user that wait.
    key
        All requests that wait and were made with this key: its id, or its name where only one valid key has it.
    """
    if [request_id, user, key].count(None) != 2:
        raise Refused("Give one of these: the id of a request, --user or --key.")

    async def cancel_all(store: JobStore) -> int:
        if request_id is not None:
            await _cancel_one(store, request_id)
            return 1
        of_key = None if key is None else (await key_called(store, key)).id
        waiting = await store.list_queued(user=user, key_id=of_key)
        if user is not None and not waiting and user not in (known := {each.user for each in await store.keys()}):
            raise Refused(f"There is no user {user}. There are: {', '.join(sorted(known)) or 'none'}.")
        return await store.cancel_queued(waiting, store.clock.now())

    print(f"Cancelled: {requests(in_store(settings.load(data_dir=data_dir), cancel_all))}.")


async def _cancel_one(store: JobStore, request_id: str) -> None:
    if not await store.cancel_queued([request_id], store.clock.now()):
        raise _begun(await request_of(store, request_id))


def _begun(job: Job) -> Refused:
    return Refused(f"{job.id} does not wait any more: it has {'begun' if job.state is State.RUNNING else 'ended'}.")


@app.command
def retry(request_id: str, /, *, data_dir: DataDir = None) -> None:
    """Queue a request anew that failed or was cancelled: the same pictures, with the same seed, for the same user.

    The new request has a new id, which is printed; the old one stays as it ended. The limits of its key hold.

    For example:

        pipelet queue retry rn5r12q9pdu6yvb3nxty

    Parameters
    ----------
    request_id
        Whose request it is does not matter.
    """
    chosen = settings.load(data_dir=data_dir)
    catalog = wiring.read_catalog(chosen)

    async def submit_again(store: JobStore) -> str:
        job = await request_of(store, request_id)
        if refusal := _why_not_again(job):
            raise Refused(refusal)
        return (await store.submit(await _again(store, catalog, job))).id

    print(in_store(chosen, submit_again))
    print(f"Queued anew; the user of {request_id} finds it under this id.", file=sys.stderr)


async def _again(store: JobStore, catalog: Catalog, job: Job) -> Job:
    estimates = Estimates(store, catalog, store.clock)
    again = job.again(new_request_id(), store.clock.now())
    backlog = await estimates.backlog(again.app, again.priority)
    expected_seconds = await estimates.expected_seconds(again.app, again.spec, again.work, backlog)
    return replace(again, expected_seconds=expected_seconds)


def _why_not_again(job: Job) -> str | None:
    if job.state is State.SUCCEEDED:
        return f"{job.id} has succeeded: only what failed or was cancelled can be tried again."
    if not job.state.is_final:
        return f"{job.id} has not ended: it {'waits' if job.state is State.QUEUED else 'runs'}."
    if not job.keeps_input:
        return f"The input of {job.id} was not to be kept, and is gone: only its user can submit it again."
    if job.spec.unread:
        return f"{job.id} was submitted to a newer version of Pipelet. Retry it with that version."
    return None
