"""How a call ends that gets no images: the error of its request, or why its caller waits no longer."""

import contextlib
from collections.abc import AsyncIterator, Mapping

from fastapi import Request

from pipelet.api.connections import watch_disconnect
from pipelet.api.dependencies import Dependencies
from pipelet.api.error_handlers import DescribedError
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import StoreError
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.outcome import CancelledBy, FailureKind

_STATUSES: Mapping[FailureKind, int] = {
    FailureKind.INVALID_INPUT: 400,
    FailureKind.CANCELLED: 499,
    FailureKind.REQUEST_TIMEOUT: 504,
}
_STOPS = ("The service is stopping.", "service_stops")
_LOST = ("The service has lost sight of its requests.", "service_unavailable")
"""Reasons, and their error types."""
CLIENT_GONE = DescribedError.of(499, "The client has closed the connection.", error_type="client_disconnected")


def failure_of(job: Job) -> DescribedError | None:
    """The error that a request ended with; None if it succeeded."""
    failure = job.failure
    if failure is None:
        return None
    return DescribedError.of(_STATUSES.get(failure.kind, 500), failure.message, error_type=failure.kind.value)


async def stop_error(
    deps: Dependencies, job: Job, *, may_be_repeated: bool, then: str = "find it in your history"
) -> DescribedError:
    """The error of a call whose process stops, or sees its request no longer. Clients retry after 503 and not after
    500, so that no request is generated twice.

    Args:
        may_be_repeated: the client may call again to get the result, so nothing is cancelled.
        then: how a client reads the result of a request that continues.
    """
    reason, error_type = _STOPS if deps.status_feed.is_closed else _LOST
    if not may_be_repeated and await deps.waiting.cancel(job, by=CancelledBy.SERVICE):
        return DescribedError.of(
            503, f"{reason} The request {job.id} was cancelled; send it again.", error_type=error_type
        )
    status = 503 if may_be_repeated else 500
    return DescribedError.of(status, f"{reason} The request {job.id} continues; {then}.", error_type=error_type)


@contextlib.asynccontextmanager
async def cancelled_if_lost(
    deps: Dependencies, job: Job, *, may_be_repeated: bool, running: bool = True
) -> AsyncIterator[None]:
    """Cancel the request of a call that ends with an error of the database: its client calls again, and the images
    would be generated twice.

    Args:
        running: also a request that has started.
    """
    try:
        yield
    except StoreError:
        if not may_be_repeated:
            with contextlib.suppress(StoreError):  # it is generated then
                await deps.waiting.cancel(job, by=CancelledBy.SERVICE, running=running)
        raise


async def wait_for_end(
    deps: Dependencies, request: Request, job: Job, key: ApiKey, *, may_be_repeated: bool
) -> Job | DescribedError:
    """Return the job when it has ended, in any state; or the error of a call that ends earlier.

    The request of a client that disconnects is cancelled, also while it runs.

    Args:
        may_be_repeated: the client may call again to get the result, so nothing is cancelled.

    Raises:
        RefusedKey: the key was revoked while it waited.
        NotFound: the request was deleted while it waited.
    """
    with watch_disconnect(request.receive) as disconnected:
        async with cancelled_if_lost(deps, job, may_be_repeated=may_be_repeated):
            has_ended = await deps.waiting.for_end(job.id, key, disconnected)
    if disconnected.done():
        if not may_be_repeated:
            await deps.waiting.cancel(job, running=True)
        return CLIENT_GONE
    if not has_ended and deps.status_feed.is_closed:
        return await stop_error(deps, job, may_be_repeated=may_be_repeated)
    # After hours of waiting, the key may be revoked.
    await deps.authenticator.find(key.hash, refresh=True)
    job = await deps.statuses.get_job(job.id)
    # The feed may have crashed, or its caller's key was refused in the moment before it was renewed.
    return job if job.state.is_final else await stop_error(deps, job, may_be_repeated=may_be_repeated)
