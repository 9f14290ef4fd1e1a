"""The request that a path names."""

import structlog
from fastapi import Request

from pipelet.api.auth import authenticate
from pipelet.api.dependencies import Dependencies
from pipelet.domain.errors import NotFound
from pipelet.domain.ids import is_request_id
from pipelet.domain.jobs.job import Job


async def get_own_job(deps: Dependencies, request: Request) -> tuple[str, Job]:
    """The app in the path, and the caller's request. A request is found under every app's path.

    Raises:
        NotFound: no such app, or the same error for every request that is not the caller's.
    """
    key = await authenticate(deps, request.scope)
    app, job_id = request.path_params["app"], request.path_params["request_id"]
    if app not in deps.catalog.apps:
        raise NotFound(f"There is no app of this name. Known apps: {', '.join(deps.catalog.apps)}.")
    if is_request_id(job_id):
        structlog.contextvars.bind_contextvars(request_id=job_id)
    return app, await deps.statuses.get_job(job_id, user=key.user)


def request_id_headers(job: Job) -> dict[str, str]:
    return {"x-fal-request-id": job.id}
