"""Generations and edits: ordinary requests, whose caller waits for the images on the same connection.

Who hangs up cancels: OpenAI's clients retry without an idempotency key, and have no way to read a result later.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.error_handlers import DescribedError
from pipelet.api.errors import Problem
from pipelet.api.input.idempotency import REPLAYED, key_reused, read_idempotency_key
from pipelet.api.input.ignored import ignored_header
from pipelet.api.input.parse import counted_refusals, get_input_schemas, invalid_images
from pipelet.api.openai.body import read_fields
from pipelet.api.openai.errors import error_response
from pipelet.api.openai.images import result_pieces
from pipelet.api.openai.input import Delivery, ImagesInput, translate
from pipelet.api.openai.stream import ImageStream
from pipelet.api.request_urls import public_base_url
from pipelet.api.results.streamed import StreamedResult
from pipelet.api.results.waiting import cancelled_if_lost, failure_of, wait_for_end
from pipelet.domain.accounts.api_keys import KEY_CACHE_SECONDS, ApiKey
from pipelet.domain.catalog import EDIT, TEXT
from pipelet.domain.errors import IdempotencyKeyReused, InvalidInputImages
from pipelet.domain.jobs.job import Job
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.results import images_of
from pipelet.services.requests.submit import NewRequest, SubmitOptions


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
    deps.connection_limiter.check(caller.user)
    with deps.connection_limiter.hold(caller.user):
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
    started_at, key = deps.clock.now(), caller.key
    idempotency_key, schemas = read_idempotency_key(request.scope), get_input_schemas(request)
    async with AsyncExitStack() as stack:
        fields = await read_fields(request, stack, user=caller.user, task=task)
        if deps.clock.now() - started_at >= KEY_CACHE_SECONDS:  # the body took long, and the key may be revoked
            key = await deps.authenticator.find(key.hash)
        found = translate(deps.catalog, schemas.models, fields, task=task)
        new = _new_request(request, deps, key, found, SubmitOptions(idempotency_key=idempotency_key))
        try:
            result = await deps.submits.submit(new)
        except InvalidInputImages as error:
            raise found.renamed(invalid_images(error, new.input)) from error
        except IdempotencyKeyReused as error:
            raise key_reused(error) from error
    headers = {"x-request-id": result.job.id, "x-fal-request-id": result.job.id, **ignored_header(found.ignored)}
    return Submitted(
        job=result.job,
        key=key,
        delivery=found.delivery,
        headers=headers | (REPLAYED if result.is_replay else {}),
        may_be_repeated=idempotency_key is not None,
    )


def _new_request(
    request: Request, deps: Dependencies, key: ApiKey, found: ImagesInput, options: SubmitOptions
) -> NewRequest:
    try:
        with counted_refusals(deps.submits.refusals, key.user):
            parsed = get_input_schemas(request).parse(found.app, found.fields, key)
    except Problem as problem:
        raise found.renamed(problem) from problem
    if found.output_quality is not None:
        quality = {"output_quality": found.output_quality}
        parsed = replace(parsed, values={**parsed.values, **quality}, fields={**parsed.fields, **quality})
    base_url = public_base_url(deps.public_url, request.scope)
    return NewRequest(app=found.app, key=key, input=parsed, base_url=base_url, options=options)


async def _wait(deps: Dependencies, request: Request, submitted: Submitted) -> Response:
    job = await wait_for_end(deps, request, submitted.job, submitted.key, may_be_repeated=submitted.may_be_repeated)
    if isinstance(job, DescribedError):
        return error_response(replace(job, headers=submitted.headers))
    return await _result(deps, request, submitted, job)


async def _result(deps: Dependencies, request: Request, submitted: Submitted, job: Job) -> Response:
    if (failed := failure_of(job)) is not None:
        return error_response(replace(failed, headers=submitted.headers))
    base_url = public_base_url(deps.public_url, request.scope)
    images = images_of(job, deps.blobs, now=deps.clock.now(), base_url=base_url)
    pieces = result_pieces(job, submitted.delivery, [image["url"] for image in images])
    return await StreamedResult.start(deps, pieces, user=submitted.key.user, headers=submitted.headers)
