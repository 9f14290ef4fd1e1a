"""How a call ends that gets no images: the error of its request, or why its caller waits no longer."""

from collections.abc import Mapping

from pipelet.api.dependencies import Dependencies
from pipelet.api.error_handlers import DescribedError
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
