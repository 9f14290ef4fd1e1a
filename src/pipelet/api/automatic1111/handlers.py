"""Text to image and image to image: ordinary requests, whose caller waits for the images on the same connection."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.automatic1111.errors import error_response
from pipelet.api.automatic1111.input import Automatic1111Input, find_app, translate
from pipelet.api.automatic1111.progress import get_newest
from pipelet.api.automatic1111.result import result_pieces
from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.error_handlers import DescribedError
from pipelet.api.errors import Problem
from pipelet.api.input.ignored import ignored_header
from pipelet.api.input.parse import counted_refusals, get_input_schemas, invalid_images
from pipelet.api.request_urls import public_base_url
from pipelet.api.results.streamed import StreamedResult
from pipelet.api.results.waiting import cancelled_if_lost, failure_of, wait_for_end
from pipelet.domain.accounts.api_keys import KEY_CACHE_SECONDS, ApiKey
from pipelet.domain.catalog import EDIT, TEXT
from pipelet.domain.errors import InvalidInputImages
from pipelet.domain.jobs.job import Job
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.submit import NewRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A request in the queue, and what its response needs. It does not hold the body: many wait at the same time."""

    job: Job
    key: ApiKey
    send_images: bool
    headers: dict[str, str]


async def text_to_image(request: Request, caller: Caller) -> Response:
    return await _create(request, caller, TEXT)


async def image_to_image(request: Request, caller: Caller) -> Response:
    return await _create(request, caller, EDIT)


async def _create(request: Request, caller: Caller, task: str) -> Response:
    deps = get_dependencies(request)
    deps.connection_limiter.check(caller.user)
    with deps.connection_limiter.hold(caller.user):
        submitted = await _submit(deps, request, caller, task)
        job = await wait_for_end(deps, request, submitted.job, submitted.key, may_be_repeated=False)
    if isinstance(job, DescribedError):
        return error_response(replace(job, headers=submitted.headers))
    failed = failure_of(job)
    if failed is not None and not job.images:  # an interrupted one may have some
        return error_response(replace(failed, headers=submitted.headers))
    pieces = result_pieces(job, deps.catalog, send_images=submitted.send_images)
    return await StreamedResult.start(deps, pieces, user=caller.user, headers=submitted.headers)


async def _submit(deps: Dependencies, request: Request, caller: Caller, task: str) -> Submitted:
    """
    Raises:
        PipeletError: the request is refused, and nothing was queued.
    """
    started_at, key, schemas = deps.clock.now(), caller.key, get_input_schemas(request)
    find_app(deps.catalog, None, task)  # before a body is read that no app here takes
    apps = [deps.catalog.apps[name] for name in deps.catalog.served_apps()]
    most = max(app.limits.max_body_bytes for app in apps if app.task == task)
    async with AsyncExitStack() as stack:
        fields = await deps.bodies.read_json(request, stack, user=caller.user, max_bytes=most)
        if deps.clock.now() - started_at >= KEY_CACHE_SECONDS:  # the body took long, and the key may be revoked
            key = await deps.authenticator.find(key.hash)
        found = translate(deps.catalog, schemas.models, fields, task=task)
        new = _new_request(request, deps, key, found)
        try:
            job = (await deps.submits.submit(new)).job
        except InvalidInputImages as error:
            raise found.renamed(invalid_images(error, new.input)) from error
    async with cancelled_if_lost(deps, job, may_be_repeated=False):
        await get_newest(request).remember(job)
    headers = {"x-request-id": job.id, "x-fal-request-id": job.id, **ignored_header(found.ignored)}
    return Submitted(job=job, key=key, send_images=found.send_images, headers=headers)


def _new_request(request: Request, deps: Dependencies, key: ApiKey, found: Automatic1111Input) -> NewRequest:
    try:
        with counted_refusals(deps.submits.refusals, key.user):
            parsed = get_input_schemas(request).parse(found.app, found.fields, key)
    except Problem as problem:
        raise found.renamed(problem) from problem
    return NewRequest(app=found.app, key=key, input=parsed, base_url=public_base_url(deps.public_url, request.scope))
