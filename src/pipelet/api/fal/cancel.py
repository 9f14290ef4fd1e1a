"""Cancel a request."""

import structlog
from fastapi import Request
from fastapi.responses import Response

from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import json_response, problem_response
from pipelet.api.fal.input.options import is_flag_set
from pipelet.api.fal.lookup import get_own_job, request_id_headers
from pipelet.domain.errors import NotFound
from pipelet.domain.jobs.job import CancelResult, Job
from pipelet.services.requests.status import NO_SUCH_REQUEST

log = structlog.get_logger()


async def cancel(request: Request) -> Response:
    deps = get_dependencies(request)
    _, job = await get_own_job(deps, request)
    also_running = is_flag_set("in_progress", request.scope["query_string"])
    match await deps.jobs.cancel(job.id, deps.clock.now(), running=also_running):
        case CancelResult.CANCELLED | CancelResult.STOPPING:
            log.info("request.cancelled", user=job.user)
            return json_response(202, {"status": "CANCELLATION_REQUESTED"}, request_id_headers(job))
        case CancelResult.ALREADY_RUNNING:
            message = "The request has started. To stop it, cancel it with ?in_progress=true."
            return _conflict("ALREADY_IN_PROGRESS", message, job)
        case CancelResult.ALREADY_FINISHED:
            return _conflict("ALREADY_COMPLETED", "The request has already ended.", job)
        case CancelResult.UNKNOWN:
            raise NotFound(NO_SUCH_REQUEST)


def _conflict(status: str, detail: str, job: Job) -> Response:
    return problem_response(400, detail, extra={"status": status}, headers=request_id_headers(job))
