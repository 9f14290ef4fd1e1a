"""Generations and edits: ordinary requests, whose caller waits for the images on the same connection.

A client that disconnects cancels its request: OpenAI's clients retry without an idempotency key, and cannot read a
result later.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.auth import recheck
from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.error_handlers import DescribedError
from pipelet.api.input.idempotency import REPLAYED, read_idempotency_key
from pipelet.api.input.ignored import ignored_header
from pipelet.api.input.parse import get_input_schemas
from pipelet.api.openai.body import read_fields
from pipelet.api.openai.errors import error_response
from pipelet.api.openai.images import result_pieces
from pipelet.api.openai.input import Delivery, translate
from pipelet.api.openai.stream import ImageStream
from pipelet.api.request_urls import public_base_url
from pipelet.api.results.streamed import StreamedResult
from pipelet.api.results.submit import submit_translated
from pipelet.api.results.waiting import cancelled_if_lost, failure_of, wait_for_end
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.catalog import EDIT, TEXT
from pipelet.domain.jobs.job import Job
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.results import images_of
from pipelet.services.requests.submit import SubmitOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A request in the queue, and what its response needs. It does not hold the body: many wait at the same time."""

    job: Job
    key: ApiKey
    delivery: Delivery
    headers: dict[str, str]
    may_be_repeated: bool
    """The client sent an idempotency key, so it may call again to get the result."""


async def generate(request: Request, caller: Caller) -> Response:
    return await _create(request, caller, TEXT)


async def edit(request: Request, caller: Caller) -> Response:
    return await _create(request, caller, EDIT)


async def _create(request: Request, caller: Caller, task: str) -> Response:
    deps = get_dependencies(request)
    with deps.connection_limiter.admit(caller.user):
        submitted = await _submit(deps, request, caller, task)
        if submitted.delivery.partial_images is None:
            return await _wait(deps, request, submitted)
    async with cancelled_if_lost(deps, submitted.job, may_be_repeated=submitted.may_be_repeated):
        status = await deps.statuses.load(submitted.job)
    return ImageStream(
        deps,
        status,
        submitted.key,
        event="image_edit" if task == EDIT else "image_generation",
        partial_images=submitted.delivery.partial_images,
        headers=submitted.headers,
        may_be_repeated=submitted.may_be_repeated,
    )


async def _submit(deps: Dependencies, request: Request, caller: Caller, task: str) -> Submitted:
    """
    Raises:
        PipeletError: the request is refused, and nothing was queued.
    """
    started_at = deps.clock.now()
    idempotency_key = read_idempotency_key(request.scope)
    async with AsyncExitStack() as stack:
        fields = await read_fields(request, stack, user=caller.user, task=task)
        key = await recheck(deps, caller.key, since=started_at)
        found = translate(deps.catalog, get_input_schemas(request).models, fields, task=task)
        options = SubmitOptions(idempotency_key=idempotency_key)
        result = await submit_translated(deps, request, key, found, options=options, values=found.values)
    headers = {"x-request-id": result.job.id, "x-fal-request-id": result.job.id, **ignored_header(found.ignored)}
    return Submitted(
        job=result.job,
        key=key,
        delivery=found.delivery,
        headers=headers | (REPLAYED if result.is_replay else {}),
        may_be_repeated=idempotency_key is not None,
    )


async def _wait(deps: Dependencies, request: Request, submitted: Submitted) -> Response:
    job = await wait_for_end(deps, request, submitted.job, submitted.key, may_be_repeated=submitted.may_be_repeated)
    if isinstance(job, DescribedError):
        return error_response(replace(job, headers=submitted.headers))
    if (failed := failure_of(job)) is not None:
        return error_response(replace(failed, headers=submitted.headers))
    base_url = public_base_url(deps.public_url, request.scope)
    images = images_of(job, deps.blobs, now=deps.clock.now(), base_url=base_url)
    pieces = result_pieces(job, submitted.delivery, [image["url"] for image in images])
    return await StreamedResult.start(deps, pieces, user=submitted.key.user, headers=submitted.headers)
