"""Submit a request."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, cast

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.auth import authenticate_to_generate, recheck
from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.errors import json_response
from pipelet.api.fal.input.options import parse_options
from pipelet.api.fal.input.webhook_target import IsAllowedAddress, parse_webhook
from pipelet.api.fal.lookup import request_id_headers
from pipelet.api.fal.status import WIRE_STATES
from pipelet.api.input.idempotency import REPLAYED
from pipelet.api.input.parse import counted_refusals, get_input_schemas
from pipelet.api.input.submit import submit_new
from pipelet.api.request_urls import public_base_url, request_urls
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.catalog import App
from pipelet.services.requests.submit import NewRequest, RequestInput, SubmitResult, require_app

ParseInput = Callable[[App, Mapping[str, Any], ApiKey], RequestInput]
"""Returns the valid input of an app; raises Problem, 422 with all errors."""


async def submit(request: Request) -> Response:
    deps = get_dependencies(request)
    result = await submit_request(deps, request)
    return submitted_response(deps, request, result, f"queue/{result.job.app}")


def submitted_response(
    deps: Dependencies,
    request: Request,
    result: SubmitResult,
    app_path: str,
    *,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """
    Args:
        app_path: path of what was called, below `/fal/`.
    """
    job = result.job
    body: dict[str, Any] = {
        "request_id": job.id,
        "gateway_request_id": job.id,
        **request_urls(deps.public_url, request.scope, app_path, job.id),
        "status": WIRE_STATES[job.state],
        "queue_position": result.ahead,
        "logs": None,
        "metrics": {},
    }
    return json_response(200, body, {**request_id_headers(job), **(REPLAYED if result.is_replay else {}), **headers})


async def submit_request(deps: Dependencies, request: Request) -> SubmitResult:
    """Submit to the app in the path. Raises as `submit_to`."""
    # The last part of the path; apps that take requests have literal paths, so that each is documented.
    name = request.scope["path"].rstrip("/").rpartition("/")[2]
    return await submit_to(deps, request, name, get_input_schemas(request).parse)


async def submit_to(deps: Dependencies, request: Request, app_name: str, parse: ParseInput) -> SubmitResult:
    """Submit to an app, with the input that `parse` finds in the body.

    Raises:
        PipeletError: the request is refused, and nothing was queued.
    """
    started_at = deps.clock.now()
    key = await authenticate_to_generate(deps, request.scope)
    app = require_app(deps.catalog, app_name)
    async with AsyncExitStack() as stack:
        limit = app.limits.max_body_bytes
        fields = await deps.bodies.read_json(request, stack, user=key.user, max_bytes=limit)
        key = await recheck(deps, key, since=started_at)
        with counted_refusals(deps.submits.refusals, key.user):
            new = _new_request(request, app, key, partial(parse, app, fields, key), deps.public_url)
        return await submit_new(deps, new)


def _new_request(
    request: Request, app: App, key: ApiKey, parse: Callable[[], RequestInput], public_url: str | None
) -> NewRequest:
    base_url = public_base_url(public_url, request.scope)
    options, webhook = parse_options(request.scope), None
    if options.webhook is not None:
        is_allowed_address = cast(IsAllowedAddress, request.scope["app"].state.is_allowed_address)
        webhook = parse_webhook(options.webhook, is_allowed_address=is_allowed_address, base_url=base_url)
        webhook = replace(webhook, events=options.webhook_events)
    return NewRequest(app=app, key=key, input=parse(), base_url=base_url, webhook=webhook, options=options)
