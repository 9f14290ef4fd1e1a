"""One request."""

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import json_response
from pipelet.api.v1.schemas import iso_time
from pipelet.services.accounts.access import Caller


async def show_request(request: Request, caller: Caller) -> Response:
    deps = get_dependencies(request)
    job = await deps.statuses.get_job(request.path_params["request_id"], user=caller.user)
    body = {
        "id": job.id,
        "app": job.app,
        "user": job.user,
        "state": job.state.value,
        "submitted_at": iso_time(job.submitted_at),
        "started_at": iso_time(job.started_at),
        "finished_at": iso_time(job.finished_at),
    }
    return json_response(200, body)
