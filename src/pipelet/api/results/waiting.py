"""How a call ends that gets no images: the error of its request, or why its caller waits no longer."""

import asyncio
from collections.abc import Mapping

from fastapi import Request

from pipelet.api.connections import wait_for_disconnect
from pipelet.api.dependencies import Dependencies
from pipelet.api.error_handlers import DescribedError
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.outcome import FailureKind

_STATUSES: Mapping[FailureKind, int] = {
    FailureKind.INVALID_INPUT: 400,
    FailureKind.CANCELLED: 499,
    FailureKind.REQUEST_TIMEOUT: 504,
}
_CONTINUES = "The service is stopping. The request {} continues; find it in your history."
_CANCELLED = "The service is stopping. The request {} was cancelled; send it again."


def _ending(status: int, message: str, error_type: str) -> DescribedError:
    return DescribedError(status=status, detail=message, message=message, error_type=error_type)


CLIENT_GONE = _ending(499, "The client has closed the connection.", "client_disconnected")
INTERNAL_ERROR = _ending(500, "Internal error. The cause is in the server log.", "internal_server_error")


def failure_of(job: Job) -> DescribedError | None:
    """The error that a request ended with; None if it succeeded."""
    failure = job.failure
    return None if failure is None else _ending(_STATUSES.get(failure.kind, 500), failure.message, failure.kind.value)


async def stop_error(deps: Dependencies, job: Job, *, may_be_repeated: bool) -> DescribedError:
    """The error of a call whose process stops. Clients retry after 503 and not after 500, so that no request is
    generated twice."""
    status, text = 503, _CONTINUES
    if not may_be_repeated:
        status, text = (503, _CANCELLED) if await deps.waiting.cancel(job) else (500, _CONTINUES)
    return _ending(status, text.format(job.id), "service_stops")


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
    return await deps.statuses.get_job(job.id)
