"""`pipelet queue`: show the queue, and change its order."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from pipelet import settings
from pipelet.cli import overview
from pipelet.cli.database import CommandError, find_key_by_name, operator
from pipelet.cli.options import AsJson, DataDir, RequestId
from pipelet.cli.output import requests
from pipelet.domain.jobs.job import MAX_PRIORITY, MIN_PRIORITY
from pipelet.domain.jobs.queue_order import QueueOrder
from pipelet.services.queue import admin
from pipelet.services.queue.overview import load_overview
from pipelet.wiring.catalog import read_catalog
from pipelet.wiring.store import open_store

app = App(name="queue", help="Show the queue, and change its order.")
AppName = Annotated[str, Parameter(help="Name of the app.")]


@app.default
async def show(*, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show the queued and running requests of each app, their rates, and the workers. In JSON, times are in seconds.

    For example:

        pipelet queue

        pipelet queue --json
    """
    chosen = settings.load(data_dir=data_dir)
    catalog = read_catalog(chosen)
    async with open_store(chosen) as store:
        found = await load_overview(store, catalog)
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        overview.show(found)


@app.command
async def pause(app_name: AppName, /, *, data_dir: DataDir = None) -> None:
    """Begin no request of an app any more, from now on and through restarts, until `pipelet queue resume`.

    Requests are still accepted; they wait. Running requests continue.

    For example:

        pipelet queue pause z-image-text-to-image
    """
    chosen = settings.load(data_dir=data_dir)
    catalog = read_catalog(chosen)
    async with open_store(chosen) as store:
        await admin.pause(store, catalog, operator(), app_name)
    print(f"Paused: {app_name}. Its requests wait until `pipelet queue resume {app_name}`.")


@app.command
async def resume(app_name: AppName, /, *, data_dir: DataDir = None) -> None:
    """Resume an app that was paused.

    For example:

        pipelet queue resume z-image-text-to-image
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        await admin.resume(store, operator(), app_name)
    print(f"Resumed: {app_name}.")


@app.command
async def order(new_order: QueueOrder | None = None, /, *, data_dir: DataDir = None) -> None:
    """Show or set the order of the queue within a priority. It is stored in the database, for all processes.

    `fair`: users take turns, by the predicted device time of their requests. `fifo`: first come, first served. Requests
    that wait keep their places.

    For example:

        pipelet queue order

        pipelet queue order fifo

    Parameters
    ----------
    new_order
        The order from now on; without it, the present one is printed.
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        if new_order is None:
            print(await store.queue.order())
            return
        await admin.set_order(store, operator(), new_order)
    print(f"The order is {new_order} for requests that arrive from now on.")


@app.command
async def drain(worker: str, /, *, data_dir: DataDir = None) -> None:
    """Stop a worker after its running requests: it claims no more, finishes them, and exits.

    It notices within a quarter of a lease (PIPELET_LEASE_SECONDS). `pipelet serve` does not replace a drained worker
    until it is restarted.

    For example:

        pipelet queue drain gpu-7-5f0c11de

    Parameters
    ----------
    worker
        Name of the worker, as in `pipelet queue`.
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        await admin.drain(store, operator(), worker)
    print(f"Draining: {worker} ends when it has finished what it generates.")


@app.command
async def undrain(worker: str, /, *, data_dir: DataDir = None) -> None:
    """Take `pipelet queue drain` back, for a worker that has not exited yet.

    For example:

        pipelet queue undrain gpu-7-5f0c11de

    Parameters
    ----------
    worker
        Name of the worker, as in `pipelet queue`.
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        await admin.undrain(store, operator(), worker)
    print(f"Working: {worker} claims requests again.")


@app.command
async def front(request_id: RequestId, /, *, data_dir: DataDir = None) -> None:
    """Move a queued request to the front: it starts next, whatever its priority.

    For example:

        pipelet queue front rn5r12q9pdu6yvb3nxty
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        await admin.move_to_front(store, operator(), request_id)
    print(f"Moved: {request_id} is next.")


@app.command
async def priority(
    request_id: RequestId,
    new_priority: Annotated[int, Parameter(validator=Number(gte=MIN_PRIORITY, lte=MAX_PRIORITY))],
    /,
    *,
    data_dir: DataDir = None,
) -> None:
    """Change the priority of a queued request: it takes its turn there as if it had arrived now.

    For example:

        pipelet queue priority rn5r12q9pdu6yvb3nxty 5

    Parameters
    ----------
    new_priority
        Larger runs sooner. No ceiling of a key counts.
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        await admin.set_priority(store, operator(), request_id, new_priority)
    print(f"Changed: {request_id} has the priority {new_priority}.")


@app.command
async def cancel(
    request_id: str | None = None, /, *, user: str | None = None, key: str | None = None, data_dir: DataDir = None
) -> None:
    """Cancel a queued request, or all queued requests of a user or of a key.

    They never run, and their webhooks are sent, as if their users had cancelled them. Running requests continue. The
    exit code is 1 if a single request is running or has ended.

    For example:

        pipelet queue cancel rn5r12q9pdu6yvb3nxty

        pipelet queue cancel --user bob

        pipelet queue cancel --key 0c94d2a7b1e3

    Parameters
    ----------
    request_id
        Id of a request of any user.
    user
        All queued requests of this user.
    key
        All queued requests that were made with this key: its id, or its name if only one valid key has it.
    """
    if [request_id, user, key].count(None) != 2:
        raise CommandError("Give one of these: the id of a request, --user or --key.")
    async with open_store(settings.load(data_dir=data_dir)) as store:
        if request_id is not None:
            await admin.cancel_request(store, operator(), request_id)
            cancelled = 1
        else:
            key_id = None if key is None else (await find_key_by_name(store, key)).id
            cancelled = await admin.cancel_requests(store, operator(), user=user, key_id=key_id)
    print(f"Cancelled: {requests(cancelled)}.")


@app.command
async def retry(request_id: RequestId, /, *, data_dir: DataDir = None) -> None:
    """Queue a failed or cancelled request again: the same images, with the same seed, for the same user.

    The new request gets a new id, which is printed; the old one stays as it is. The limits of its key apply.

    For example:

        pipelet queue retry rn5r12q9pdu6yvb3nxty
    """
    chosen = settings.load(data_dir=data_dir)
    catalog = read_catalog(chosen)
    async with open_store(chosen) as store:
        print(await admin.retry(store, catalog, operator(), request_id))
    print(f"Queued again; the user of {request_id} finds it under this id.", file=sys.stderr)
