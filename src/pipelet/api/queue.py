"""fal's queue routes: submit, status, cancel, result."""

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import Response

from pipelet.api import addresses
from pipelet.api import status as statuses
from pipelet.api.idempotency import IdempotentSubmit
from pipelet.api.input import Input, read_input
from pipelet.api.input_model import MIN_PRIORITY
from pipelet.api.options import Options, is_yes, read_options
from pipelet.api.parts import Parts, parts_of
from pipelet.api.problems import json_response, problem_response
from pipelet.api.sight import WIRE_STATES
from pipelet.api.webhook_target import read_webhook
from pipelet.domain.catalog import App
from pipelet.domain.errors import LimitReached, NotFound, PipeletError, QueueTooLong
from pipelet.domain.estimate import Ahead, drawing
from pipelet.domain.ids import is_request_id, new_request_id
from pipelet.domain.image import ImageSpec, Reference
from pipelet.domain.job import CancelAnswer, Job, State
from pipelet.domain.keys import ApiKey
from pipelet.domain.outcome import FailureKind
from pipelet.domain.result import images_of, result_document
from pipelet.domain.webhooks import Webhook

log = structlog.get_logger()

_UNKNOWN = "There is no request with this id. It may have expired, or belong to another user."


async def submit(request: Request) -> Response:
    parts = parts_of(request)
    key = await parts.doorkeeper.admit(request.scope["headers"])
    app = _served_app(parts, _called_app(request))
    async with AsyncExitStack() as held:
        limit = app.limits.max_body_bytes
        fields = await parts.bodies.read_object(request, held, user=key.user, max_bytes=limit)
        return await _submit(parts, request, app, key, fields)


async def _submit(parts: Parts, request: Request, app: App, key: ApiKey, fields: dict[str, Any]) -> Response:
    options = read_options(request.scope)
    webhook = read_webhook(parts, request)
    wanted = read_input(fields, parts.input_models[app.name], max_priority=key.max_priority, max_batch=key.max_batch)
    once = await IdempotentSubmit.of(options, app, key, fields, parts.clock.now())
    if once is not None and (repeated := await once.repeated(parts)) is not None:
        return _submitted(parts, request, *repeated, is_repeated=True)
    if options.is_low and fields.get("priority") is None:
        wanted = replace(wanted, priority=max(wanted.priority - 1, MIN_PRIORITY))
    await _refuse_long_queue(parts, app, options)
    job_id = new_request_id()
    references = await _references(parts, request, app, key, job_id, wanted) if wanted.reference_urls else ()
    spec = wanted.spec(app.limits, references)
    backlog = await parts.estimates.backlog(app.name, wanted.priority)
    job = await _new_job(parts, app, key, job_id, wanted.priority, spec, options, webhook, backlog)
    if (repeated := await _queue(parts, job, once)) is not None:
        return _submitted(parts, request, *repeated, is_repeated=True)
    parts.metrics.submitted(app.name)
    log.info("request.submitted", request_id=job.id, app=job.app, user=job.user, priority=job.priority)
    return _submitted(parts, request, job, backlog.requests)


async def status(request: Request) -> Response:
    """Polled ten times a second by each of fal's clients: no dependency injection, no response model."""
    parts = parts_of(request)
    app, job = await find(parts, request)
    sight = await statuses.see(parts, job)
    logs = await parts.store.log(job) if statuses.wants_logs(request.scope["query_string"]) else None
    urls = addresses.of_request(parts.public_url, request.scope, app, job.id)
    body = await statuses.describe(parts, sight, urls=urls, logs=logs)
    return json_response(200 if job.state.is_final else 202, body, names(job))


async def cancel(request: Request) -> Response:
    parts = parts_of(request)
    _, job = await find(parts, request)
    also_running = is_yes(request.query_params.get("in_progress", ""))
    match await parts.store.cancel(job.id, parts.clock.now(), running=also_running):
        case CancelAnswer.CANCELLED | CancelAnswer.STOPPING:
            log.info("request.cancelled", request_id=job.id, user=job.user)
            return json_response(202, {"status": "CANCELLATION_REQUESTED"}, names(job))
        case CancelAnswer.ALREADY_RUNNING:
            return _too_late(
                "ALREADY_IN_PROGRESS",
                "The request has begun; to stop it all the same, cancel it with ?in_progress=true.",
                job,
            )
        case CancelAnswer.ALREADY_FINISHED:
            return _too_late("ALREADY_COMPLETED", "The request has ended already.", job)
        case CancelAnswer.UNKNOWN:
            raise NotFound(_UNKNOWN)


async def result(request: Request) -> Response:
    parts = parts_of(request)
    _, job = await find(parts, request)
    if job.state is State.SUCCEEDED:
        return json_response(200, result_document(job, _images(parts, request, job)), names(job))
    if job.failure is None:
        return problem_response(400, "Request is still in progress", headers=names(job))
    return _failed(job, _images(parts, request, job))


async def unknown_app(request: Request) -> Response:
    """A POST to an app that nothing serves."""
    parts = parts_of(request)
    await parts.doorkeeper.admit(request.scope["headers"])
    _served_app(parts, _called_app(request))
    raise NotFound("There is nothing at this path.")


def _submitted(parts: Parts, request: Request, job: Job, position: int, *, is_repeated: bool = False) -> Response:
    body: dict[str, Any] = {
        "request_id": job.id,
        "gateway_request_id": job.id,
        **addresses.of_request(parts.public_url, request.scope, job.app, job.id),
        "status": WIRE_STATES[job.state],
        "queue_position": position,
        "logs": None,
        "metrics": {},
    }
    return json_response(200, body, names(job) | ({"Idempotent-Replayed": "true"} if is_repeated else {}))


async def _refuse_long_queue(parts: Parts, app: App, options: Options) -> None:
    """By the requests of everybody that wait for this app; others may arrive at the same moment."""
    if options.max_queue_length is None:
        return
    waiting = (await parts.store.backlog(MIN_PRIORITY, [app.name])).requests
    if waiting > options.max_queue_length:
        raise QueueTooLong(
            f"{waiting} requests wait for {app.name}, more than the {options.max_queue_length} that "
            "fal_max_queue_length allows. Submit it again later, or allow more."
        )


async def _references(
    parts: Parts, request: Request, app: App, key: ApiKey, job_id: str, wanted: Input
) -> tuple[Reference, ...]:
    base_url = addresses.base_url(parts.public_url, request.scope)
    return await parts.references.collect(app, job_id, wanted.reference_urls, user=key.user, base_url=base_url)


async def _queue(parts: Parts, job: Job, once: IdempotentSubmit | None) -> tuple[Job, int] | None:
    """None: it waits now. Otherwise the earlier request that its `Idempotency-Key` stands for."""
    try:
        if once is None:
            await parts.store.submit(job)
            return None
        repeated = await once.submit(parts, job)
    except PipeletError as error:
        if isinstance(error, LimitReached):
            parts.metrics.refused("queued_images")
        await _let_go(parts, job)
        raise
    if repeated is not None:
        await _let_go(parts, job)
    return repeated


async def _let_go(parts: Parts, job: Job) -> None:
    """It is not queued: what was stored for it may go now, and not only when nobody can be about to take it."""
    if job.spec.references:
        await parts.references.release(job.id)


async def _new_job(
    parts: Parts,
    app: App,
    key: ApiKey,
    job_id: str,
    priority: int,
    spec: ImageSpec,
    options: Options,
    webhook: Webhook | None,
    backlog: Ahead,
) -> Job:
    now, work = parts.clock.now(), drawing(spec, parts.catalog.model_of(app))
    return Job(
        id=job_id,
        app=app.name,
        user=key.user,
        priority=priority,
        spec=spec,
        work=work,
        submitted_at=now,
        expected_seconds=await parts.estimates.expected_seconds(app.name, spec, work, backlog),
        key_id=key.id,
        is_limited=key.has_limits,
        start_by=None if options.start_timeout is None else now + options.start_timeout,
        is_single_attempt=options.is_single_attempt,
        keeps_input=options.keeps_input,
        keep_seconds=options.keep_seconds,
        webhook=webhook,
    )


def _called_app(request: Request) -> str:
    """The last part of a submit's path; served apps have literal paths, for the sake of the API's description."""
    path: str = request.scope["path"]
    return path.rstrip("/").rpartition("/")[2]


def _served_app(parts: Parts, name: str) -> App:
    app = parts.catalog.apps.get(name)
    if app is not None and app.is_served:
        return app
    served = ", ".join(parts.catalog.served_apps())
    if app is None:
        raise NotFound(f"There is no app of this name. Apps that take requests: {served}.")
    raise NotFound(f"The app {name} is known, but the model here cannot serve it. Apps that take requests: {served}.")


async def find(parts: Parts, request: Request) -> tuple[str, Job]:
    """The called app, and the caller's request; a request answers under every app's path.

    Raises:
        NotFound: the same for ids of any shape, of nobody and of somebody else.
    """
    key = await parts.doorkeeper.admit(request.scope["headers"])
    app, job_id = request.path_params["app"], request.path_params["request_id"]
    if app not in parts.catalog.apps:
        raise NotFound(f"There is no app of this name. Known apps: {', '.join(parts.catalog.apps)}.")
    job = await parts.store.get(job_id) if is_request_id(job_id) else None
    if job is None or job.user != key.user or job.is_forgotten(parts.clock.now()):
        raise NotFound(_UNKNOWN)
    return app, job


def _images(parts: Parts, request: Request, job: Job) -> list[dict[str, Any]]:
    base_url = addresses.base_url(parts.public_url, request.scope)
    return images_of(job, parts.blobs, now=parts.clock.now(), base_url=base_url)


def _failed(job: Job, images: list[dict[str, Any]]) -> Response:
    """`images` were finished before it ended."""
    assert job.failure is not None  # noqa: S101 - the caller looked
    kind, message = job.failure.kind, job.failure.message
    if kind is FailureKind.INVALID_INPUT:
        fault = {"loc": ["body"], "msg": message, "type": kind.value, "input": None}
        return problem_response(422, [fault], message=message, error_type=kind.value, headers=names(job))
    if kind is FailureKind.REQUEST_TIMEOUT:
        # By this header fal's clients know that it is final, and do not ask again.
        headers = names(job) | {"X-Fal-Request-Timeout-Type": "user"}
        return problem_response(504, message, error_type=kind.value, headers=headers)
    status = 499 if kind is FailureKind.CANCELLED else 500
    more = {"images": images} if images else None
    return problem_response(status, message, error_type=kind.value, more=more, headers=names(job))


def _too_late(status: str, detail: str, job: Job) -> Response:
    return problem_response(400, detail, more={"status": status}, headers=names(job))


def names(job: Job) -> dict[str, str]:
    return {"x-fal-request-id": job.id}
