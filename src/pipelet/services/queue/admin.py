"""Queue administration: pause, drain, move to the front, cancel and retry requests of any user.

What an act changed is in the audit trail.
"""

from dataclasses import replace

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.accounts.audit import Action, Actor
from pipelet.domain.catalog import Catalog
from pipelet.domain.errors import NotFound, NotPossible
from pipelet.domain.ids import new_request_id
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.jobs.queue_order import QueueOrder
from pipelet.domain.ports.store import Store
from pipelet.services.accounts import audit
from pipelet.services.queue.estimates import Estimates


async def pause(store: Store, catalog: Catalog, actor: Actor, app: str) -> None:
    """Start no request of `app` until `resume`. Requests are still accepted, and running ones continue. A second pause
    keeps the time of the first.

    Raises:
        NotFound: no app of this name takes requests.
    """
    served = catalog.served_apps()
    if app not in served:
        raise NotFound(f"There is no app {app} here. There are: {', '.join(served)}.")
    now = store.clock.now()
    if await store.queue.pause(app, now):
        await audit.record(store, actor, Action.PAUSE_APP, app, after={"paused_at": now})


async def resume(store: Store, actor: Actor, app: str) -> None:
    """
    Raises:
        NotPossible: the app is not paused.
    """
    paused_at = (await store.queue.paused()).get(app)
    if not await store.queue.resume(app):
        raise NotPossible(f"{app} is not paused.")
    await audit.record(store, actor, Action.RESUME_APP, app, before={"paused_at": paused_at})


async def set_order(store: Store, actor: Actor, order: QueueOrder) -> None:
    """Let requests that arrive from now on take their places by `order`; those that wait keep theirs."""
    before = await store.queue.order()
    await store.queue.set_order(order)
    if before is not order:
        await audit.record(
            store, actor, Action.CHANGE_QUEUE_ORDER, "queue", before={"order": before}, after={"order": order}
        )


async def drain(store: Store, actor: Actor, worker: str) -> None:
    """Let a worker claim nothing more, finish its requests and exit.

    Raises:
        NotFound: no live worker has this name.
    """
    now = store.clock.now()
    if await store.workers.drain(worker, now):
        await audit.record(store, actor, Action.DRAIN_WORKER, worker)
    elif worker not in {live.name for live in await store.workers.live(now)}:
        raise NotFound(f"No worker of the name {worker} is running. See `pipelet queue`.")


async def undrain(store: Store, actor: Actor, worker: str) -> None:
    """Take `drain` back: a worker that has not exited yet claims requests again.

    Raises:
        NotPossible: no live worker of this name is draining.
    """
    if not await store.workers.undrain(worker, store.clock.now()):
        raise NotPossible(f"No worker of the name {worker} is draining. See `pipelet queue`.")
    await audit.record(store, actor, Action.UNDRAIN_WORKER, worker)


async def move_to_front(store: Store, actor: Actor, request_id: str) -> None:
    """Let a queued request start next, whatever its priority.

    Raises:
        NotFound, NotPossible: there is no such request, or it is not queued.
    """
    if not await store.queue.move_to_front(request_id, store.clock.now()):
        raise _not_queued(await get_job(store, request_id))
    await audit.record(store, actor, Action.MOVE_TO_FRONT, request_id)


async def set_priority(store: Store, actor: Actor, request_id: str, priority: int) -> None:
    """Move a queued request to another priority, where it gets the turn of a request that arrives now.

    Raises:
        NotFound, NotPossible: there is no such request, or it is not queued.
    """
    before = (await get_job(store, request_id)).priority
    if not await store.queue.set_priority(request_id, priority, store.clock.now()):
        raise _not_queued(await get_job(store, request_id))
    values = {"priority": before}, {"priority": priority}
    await audit.record(store, actor, Action.CHANGE_PRIORITY, request_id, before=values[0], after=values[1])


async def cancel_request(store: Store, actor: Actor, request_id: str) -> None:
    """Cancel a queued request.

    Raises:
        NotFound, NotPossible: there is no such request, or it is not queued.
    """
    if not await store.queue.cancel_queued([request_id], store.clock.now()):
        raise _not_queued(await get_job(store, request_id))
    await audit.record(store, actor, Action.CANCEL_REQUESTS, request_id)


async def cancel_requests(store: Store, actor: Actor, *, user: str | None = None, key_id: str | None = None) -> int:
    """Cancel all queued requests of a user, of a key, or of both. Returns how many were cancelled.

    Raises:
        NotFound: there is no such user.
    """
    queued = await store.queue.list_queued(user=user, key_id=key_id)
    if user is not None and not queued:
        known = {key.user for key in await store.api_keys.list_keys()}
        if user not in known:
            raise NotFound(f"There is no user {user}. There are: {', '.join(sorted(known)) or 'none'}.")
    cancelled = await store.queue.cancel_queued(queued, store.clock.now())
    if cancelled:
        target = " ".join(f"{name}={value}" for name, value in (("user", user), ("key", key_id)) if value is not None)
        await audit.record(store, actor, Action.CANCEL_REQUESTS, target, after={"requests": cancelled})
    return cancelled


async def retry(store: Store, catalog: Catalog, actor: Actor, request_id: str) -> str:
    """As `queue_copy`, on behalf of the operator."""
    new_id = await queue_copy(store, catalog, request_id)
    await audit.record(store, actor, Action.RETRY_REQUESTS, request_id, after={"request_id": new_id})
    return new_id


async def queue_copy(store: Store, catalog: Catalog, request_id: str, *, key: ApiKey | None = None) -> str:
    """Queue a copy of a failed or cancelled request, with the same seed and for the same user. Returns its id.

    Args:
        key: the key that submits the copy; None for that of the first request.

    Raises:
        NotFound, NotPossible: there is no such request, or it cannot be retried.
        QuotaExceeded: its key or its user has no room in the queue.
    """
    job = await get_job(store, request_id)
    if reason := _no_retry_reason(job):
        raise NotPossible(reason)
    estimates = Estimates(store, catalog)
    copy = job.clone_for_retry(new_request_id(), store.clock.now())
    if key is not None:
        is_user_limited = key.user_limits.apply_to_submits
        copy = replace(copy, key_id=key.id, is_limited=key.has_limits, is_user_limited=is_user_limited)
    ahead = await estimates.work_ahead_of_new(copy.app, copy.priority, copy.user)
    copy = replace(
        copy,
        estimated_seconds=await estimates.estimated_seconds(copy.app, copy.spec, copy.work, ahead),
        model=estimates.model_of(copy.app),
        turn_cost=await estimates.turn_cost(copy.app, copy.work),
    )
    new_id = (await store.jobs.submit(copy)).id
    # After the submit: a refused copy must not be noted. If the process dies in between, a second copy is possible.
    await store.history.set_retried(request_id, new_id)
    return new_id


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
