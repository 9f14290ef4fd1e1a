"""Text to image and image to image: ordinary requests, whose caller waits for the images on the same connection."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.auth import recheck
from pipelet.api.automatic1111.errors import error_response
from pipelet.api.automatic1111.input import find_app, translate
from pipelet.api.automatic1111.progress import get_newest
from pipelet.api.automatic1111.result import result_pieces
from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.error_handlers import DescribedError
from pipelet.api.input.ignored import ignored_header
from pipelet.api.input.parse import get_input_schemas
from pipelet.api.results.streamed import StreamedResult
from pipelet.api.results.submit import submit_translated
from pipelet.api.results.waiting import cancelled_if_lost, failure_of, wait_for_end
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.catalog import EDIT, TEXT
from pipelet.domain.jobs.job import Job
from pipelet.services.accounts.access import Caller


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
    with deps.connection_limiter.admit(caller.user):
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
    started_at = deps.clock.now()
    find_app(deps.catalog, None, task)  # before a body is read that no app here takes
    most = max(app.limits.max_body_bytes for app in deps.catalog.apps_for(task))
    async with AsyncExitStack() as stack:
        fields = await deps.bodies.read_json(request, stack, user=caller.user, max_bytes=most)
        key = await recheck(deps, caller.key, since=started_at)
        found = translate(deps.catalog, get_input_schemas(request).models, fields, task=task)
        job = (await submit_translated(deps, request, key, found)).job
    async with cancelled_if_lost(deps, job, may_be_repeated=False):
        await get_newest(request).remember(job)
    headers = {"x-request-id": job.id, "x-fal-request-id": job.id, **ignored_header(found.ignored)}
    return Submitted(job=job, key=key, send_images=found.send_images, headers=headers)
