"""Queue administration: pause, drain, move to the front, cancel and retry requests of any user."""

from dataclasses import replace

from pipelet.domain.catalog import Catalog
from pipelet.domain.errors import NotFound, NotPossible
from pipelet.domain.ids import new_request_id
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.ports.store import Store
from pipelet.services.queue.estimates import Estimates


async def pause(store: Store, catalog: Catalog, app: str) -> None:
    """Start no request of `app` until `resume`. Requests are still accepted, and running ones continue.

    Raises:
        NotFound: no app of this name takes requests.
    """
    served = catalog.served_apps()
    if app not in served:
        raise NotFound(f"There is no app {app} here. There are: {', '.join(served)}.")
    await store.queue.pause(app, store.clock.now())


async def resume(store: Store, app: str) -> None:
    """
    Raises:
        NotPossible: the app is not paused.
    """
    if not await store.queue.resume(app):
        raise NotPossible(f"{app} is not paused.")


async def drain(store: Store, worker: str) -> None:
    """Let a worker claim nothing more, finish its requests and exit.

    Raises:
        NotFound: no live worker has this name.
    """
    if not await store.workers.drain(worker, store.clock.now()):
        raise NotFound(f"No worker of the name {worker} is running. See `pipelet queue`.")


async def move_to_front(store: Store, request_id: str) -> None:
    """Let a queued request start next, whatever its priority.

    Raises:
        NotFound, NotPossible: there is no such request, or it is not queued.
    """
    if not await store.queue.move_to_front(request_id, store.clock.now()):
        raise _not_queued(await get_job(store, request_id))


async def cancel_request(store: Store, request_id: str) -> None:
    """Cancel a queued request.

    Raises:
        NotFound, NotPossible: there is no such request, or it is not queued.
    """
    if not await store.queue.cancel_queued([request_id], store.clock.now()):
        raise _not_queued(await get_job(store, request_id))


async def cancel_requests(store: Store, *, user: str | None = None, key_id: str | None = None) -> int:
    """Cancel all queued requests of a user, of a key, or of both. Returns how many were cancelled.

    Raises:
        NotFound: there is no such user.
    """
    queued = await store.queue.list_queued(user=user, key_id=key_id)
    if user is not None and not queued:
        known = {key.user for key in await store.api_keys.list_keys()}
        if user not in known:
            raise NotFound(f"There is no user {user}. There are: {', '.join(sorted(known)) or 'none'}.")
    return await store.queue.cancel_queued(queued, store.clock.now())


async def retry(store: Store, catalog: Catalog, request_id: str) -> str:
    """Queue a copy of a failed or cancelled request, with the same seed and for the same user. Returns its id.

    Raises:
        NotFound, NotPossible: there is no such request, or it cannot be retried.
        QuotaExceeded: its key has no room in the queue.
    """
    job = await get_job(store, request_id)
    if reason := _no_retry_reason(job):
        raise NotPossible(reason)
    estimates = Estimates(store, catalog)
    copy = job.clone_for_retry(new_request_id(), store.clock.now())
    backlog = await estimates.backlog(copy.app, copy.priority)
    estimated_seconds = await estimates.estimated_seconds(copy.app, copy.spec, copy.work, backlog)
    return (await store.jobs.submit(replace(copy, estimated_seconds=estimated_seconds))).id


async def get_job(store: Store, request_id: str) -> Job:
    """
    Raises:
        NotFound: there is no such request.
    """
    job = await store.jobs.get(request_id)
    if job is None:
        raise NotFound(f"There is no request with the id {request_id}. It may have expired.")
    return job


def _not_queued(job: Job) -> NotPossible:
    return NotPossible(f"{job.id} is not queued: it has {'started' if job.state is JobState.RUNNING else 'ended'}.")


def _no_retry_reason(job: Job) -> str | None:
    if job.state is JobState.SUCCEEDED:
        return f"{job.id} has succeeded; only a failed or cancelled request can be retried."
    if not job.state.is_final:
        return f"{job.id} has not ended; it {'is queued' if job.state is JobState.QUEUED else 'runs'}."
    if not job.store_input:
        return f"The input of {job.id} was not stored; only its user can submit it again."
    if job.spec.unknown_fields:
        return f"{job.id} was submitted to a newer version of Pipelet. Retry it with that version."
    return None
