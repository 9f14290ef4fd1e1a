"""How a call ends that gets no images: the error of its request, or why its caller waits no longer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from fastapi import Request

from pipelet.api.connections import wait_for_disconnect
from pipelet.api.dependencies import Dependencies
from pipelet.api.error_handlers import DescribedError
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import StoreError
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.outcome import FailureKind

_STATUSES: Mapping[FailureKind, int] = {
    FailureKind.INVALID_INPUT: 400,
    FailureKind.CANCELLED: 499,
    FailureKind.REQUEST_TIMEOUT: 504,
}
_CONTINUES = "{} The request {} continues; find it in your history."
_CANCELLED = "{} The request {} was cancelled; send it again."
_STOPS = ("The service is stopping.", "service_stops")
_LOST = ("The service has lost sight of its requests.", "service_unavailable")
"""Reasons, and their error types."""


def _ending(status: int, message: str, error_type: str) -> DescribedError:
    return DescribedError(status=status, detail=message, message=message, error_type=error_type)


CLIENT_GONE = _ending(499, "The client has closed the connection.", "client_disconnected")
INTERNAL_ERROR = _ending(500, "Internal error. The cause is in the server log.", "internal_server_error")


def failure_of(job: Job) -> DescribedError | None:
    """The error that a request ended with; None if it succeeded."""
    failure = job.failure
    return None if failure is None else _ending(_STATUSES.get(failure.kind, 500), failure.message, failure.kind.value)


async def stop_error(deps: Dependencies, job: Job, *, may_be_repeated: bool) -> DescribedError:
    """The error of a call whose process stops, or sees its request no longer. Clients retry after 503 and not after
    500, so that no request is generated twice."""
    reason, error_type = _STOPS if deps.status_feed.is_closed else _LOST
    status, text = 503, _CONTINUES
    if not may_be_repeated:
        status, text = (503, _CANCELLED) if await deps.waiting.cancel(job) else (500, _CONTINUES)
    return _ending(status, text.format(reason, job.id), error_type)


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
                await deps.waiting.cancel(job, running=running)
        raise


async def wait_for_end(
    deps: Dependencies, request: Request, job: Job, key: ApiKey, *, may_be_repeated: bool
) -> Job | DescribedError:
    """Return the job when it has ended, however; or the error of a call that ends before.

    The request of a client that disconnects is cancelled, also while it runs.

    Args:
        may_be_repeated: the client may call again to get the result, so nothing is cancelled.

    Raises:
        RefusedKey: the key was revoked while it waited.
        NotFound: the request was deleted while it waited.
    """
    disconnected = asyncio.create_task(wait_for_disconnect(request.receive))
    try:
        async with cancelled_if_lost(deps, job, may_be_repeated=may_be_repeated):
            has_ended = await deps.waiting.for_end(job.id, key, disconnected)
    finally:
        disconnected.cancel()
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
