"""The request that a path names."""

from collections.abc import Mapping

import structlog
from fastapi import Request
from starlette.types import Scope

from pipelet.api.auth import authenticate_to_generate
from pipelet.api.dependencies import Dependencies
from pipelet.domain.catalog import Catalog
from pipelet.domain.errors import NotFound
from pipelet.domain.ids import is_request_id
from pipelet.domain.jobs.job import Job


async def get_own_job(deps: Dependencies, request: Request) -> tuple[str, Job]:
    """The path of the app below `/fal/`, and the caller's request. A request is found under every app's path.

    Raises:
        NotFound: no such app or id of fal's, or the same error for every request that is not the caller's.
    """
    key = await authenticate_to_generate(deps, request.scope)
    path, job_id = _called(deps.catalog, request.path_params), request.path_params["request_id"]
    if is_request_id(job_id):
        structlog.contextvars.bind_contextvars(request_id=job_id)
    return path, await deps.statuses.get_job(job_id, user=key.user)


def request_id_headers(job: Job) -> dict[str, str]:
    return {"x-fal-request-id": job.id}


def called_id(scope: Scope) -> str:
    """The id of fal's that a submit calls: the path after `/fal/`, `/fal/queue/` or `/fal/run/`."""
    path: str = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/fal/")
    return path.removeprefix("queue/").removeprefix("run/").rstrip("/")


def _called(catalog: Catalog, parameters: Mapping[str, str]) -> str:
    """The path below `/fal/` that the URLs of a request have.

    Raises:
        NotFound: neither the name of an app, nor the beginning of an id of fal's.
    """
    app = parameters.get("app")
    if app is None:  # the path of an id, or one with more parts than it needs
        called = parameters["called"]
        names = called.removeprefix("queue/").split("/")
        base = "/".join(names[:2])
        if any(base == each.base for each in catalog.fal_ids.values()):
            return base
        app = names[0] if called.startswith("queue/") else ""
    if app not in catalog.apps:
        raise NotFound(f"There is no app of this name. Known apps: {', '.join([*catalog.apps, *catalog.fal_ids])}.")
    return f"queue/{app}"
