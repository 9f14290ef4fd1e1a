"""Submit a request, or ask how long it would take."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.auth import recheck
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import json_response
from pipelet.api.input.idempotency import REPLAYED, read_idempotency_key
from pipelet.api.input.parse import counted_refusals, get_input_schemas
from pipelet.api.input.submit import submit_new
from pipelet.api.request_urls import public_base_url
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.reading import body_fields, validate
from pipelet.api.v1.requests.schemas import SubmitBody
from pipelet.api.v1.requests.views import detail_response
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.submit import NewRequest, SubmitOptions, require_app

_ENVELOPE_BYTES = 1024
_INPUT = ("body", "input")


async def submit_request(request: Request, caller: Caller) -> Response:
    services, deps = get_services(request), get_dependencies(request)
    options = SubmitOptions(idempotency_key=read_idempotency_key(request.scope))
    async with _read(request, caller) as new:
        result = await submit_new(deps, replace(new, options=options), loc=_INPUT)
    view = await services.request_lists.get(caller, result.job.id)
    headers = REPLAYED if result.is_replay else None
    return await detail_response(request, services, caller, view, headers=headers)


async def estimate_request(request: Request, caller: Caller) -> Response:
    services = get_services(request)
    async with _read(request, caller) as new:
        found = await services.predictions.predict(new)
    body = {"seconds": found.seconds, "position": found.position, "image_seconds": found.image_seconds}
    return json_response(200, body)


@asynccontextmanager
async def _read(request: Request, caller: Caller) -> AsyncIterator[NewRequest]:
    """Yield the request in the body, which stays in memory until the block ends."""
    deps, started_at = get_dependencies(request), get_dependencies(request).clock.now()
    most = max((deps.catalog.apps[name].limits.max_body_bytes for name in deps.catalog.served_apps()), default=0)
    async with body_fields(request, caller, max_bytes=most + _ENVELOPE_BYTES) as fields:
        body = validate(SubmitBody, fields, "body")
        key = await recheck(deps, caller.key, since=started_at)
        app = require_app(deps.catalog, body.app)
        with counted_refusals(deps.submits.refusals, key.user):
            parsed = get_input_schemas(request).parse(app, body.input, key, loc=_INPUT)
        yield NewRequest(app=app, key=key, input=parsed, base_url=public_base_url(deps.public_url, request.scope))
