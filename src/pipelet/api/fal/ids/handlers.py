"""Submit to an id of fal's, and read its output."""

from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import Response

from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.fal.ids.input import parse_fal_input
from pipelet.api.fal.ids.output import output_response
from pipelet.api.fal.lookup import called_id, get_own_job
from pipelet.api.fal.result import result_response
from pipelet.api.fal.run import run_with
from pipelet.api.fal.submit import submit_to, submitted_response
from pipelet.api.input.ignored import ignored_header
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.catalog import App
from pipelet.services.requests.submit import RequestInput, SubmitResult

log = structlog.get_logger()


async def submit_to_id(request: Request) -> Response:
    deps = get_dependencies(request)
    call = _Call(deps, request)
    result = await call.submit(deps, request)
    return submitted_response(deps, request, result, call.fal_id.base, headers=call.headers())


async def run_id(request: Request) -> Response:
    call = _Call(get_dependencies(request), request)
    response = await run_with(request, submit=call.submit, respond=output_response)
    response.headers.update(call.headers())
    return response


async def read_output(request: Request) -> Response:
    deps = get_dependencies(request)
    path, job = await get_own_job(deps, request)
    respond = result_response if path.startswith("queue/") else output_response
    return await respond(deps, request, job)


class _Call:
    """One call of an id."""

    def __init__(self, deps: Dependencies, request: Request) -> None:
        self.fal_id = deps.catalog.fal_ids[called_id(request.scope)]
        self._catalog = deps.catalog
        self._ignored: list[str] = []

    async def submit(self, deps: Dependencies, request: Request) -> SubmitResult:
        """Raises as `submit_to`."""
        result = await submit_to(deps, request, self.fal_id.app, self._parse)
        if headers := self.headers():
            log.info("request.fields_ignored", fal_id=self.fal_id.name, fields=next(iter(headers.values())))
        return result

    def headers(self) -> dict[str, str]:
        """What says which fields were ignored."""
        return ignored_header(self._ignored)

    def _parse(self, app: App, fields: Mapping[str, Any], key: ApiKey) -> RequestInput:
        found, self._ignored = parse_fal_input(fields, self.fal_id, app, self._catalog.model_of(app), key)
        return found
