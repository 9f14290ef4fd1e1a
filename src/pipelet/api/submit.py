"""Taking a request in: what was asked for is read, its pictures are stored, and it waits in the queue."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import Response

from pipelet.api import addresses
from pipelet.api.idempotency import IdempotentSubmit
from pipelet.api.input import Input, read_input
from pipelet.api.input_model import MIN_PRIORITY
from pipelet.api.options import Options, read_options
from pipelet.api.parts import Parts, parts_of
from pipelet.api.problems import json_response
from pipelet.api.queue import names
from pipelet.api.sight import WIRE_STATES
from pipelet.api.webhook_target import read_webhook
from pipelet.domain.catalog import EDIT, App
from pipelet.domain.errors import LimitReached, NotFound, QueueTooLong
from pipelet.domain.estimate import Ahead, drawing
from pipelet.domain.ids import new_request_id
from pipelet.domain.image import ImageSpec
from pipelet.domain.job import Job
from pipelet.domain.keys import FRESH_SECONDS, ApiKey
from pipelet.domain.webhooks import Webhook

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a submit was answered with: a request that is on disk."""

    job: Job
    ahead: int
    """How many requests start before it."""
    is_repeated: bool = False
    """An earlier submit made it, with the same `Idempotency-Key`."""


async def submit(request: Request) -> Response:
    parts = parts_of(request)
    accepted = await accept(parts, request)
    job = accepted.job
    body: dict[str, Any] = {
        "request_id": job.id,
        "gateway_request_id": job.id,
        **addresses.of_request(parts.public_url, request.scope, job.app, job.id),
        "status": WIRE_STATES[job.state],
        "queue_position": accepted.ahead,
        "logs": None,
        "metrics": {},
    }
    return json_response(200, body, names(job) | ({"Idempotent-Replayed": "true"} if accepted.is_repeated else {}))


async def accept(parts: Parts, request: Request) -> Accepted:
    """
    Raises:
        PipeletError: it is refused, and nothing was queued.
    """
    admitted_at = parts.clock.now()
    key = await parts.doorkeeper.admit(request.scope["headers"])
    app = _served_app(parts, _called_app(request))
    async with AsyncExitStack() as held:
        limit = app.limits.max_body_bytes
        fields = await parts.bodies.read_object(request, held, user=key.user, max_bytes=limit)
        if parts.clock.now() - admitted_at >= FRESH_SECONDS:  # the body took long, and the key may be revoked
            key = await parts.doorkeeper.admit(request.scope["headers"])
        return await _accept(parts, request, app, key, fields)


async def _accept(parts: Parts, request: Request, app: App, key: ApiKey, fields: dict[str, Any]) -> Accepted:
    options = read_options(request.scope)
    base_url = addresses.base_url(parts.public_url, request.scope)
    webhook = None
    if options.webhook is not None:
        webhook = read_webhook(options.webhook, may_call=parts.may_call, base_url=base_url)
    model = parts.input_models[app.name]
    edit_app = next((each.name for each in parts.catalog.apps.values() if each.is_served and each.task == EDIT), None)
    wanted = read_input(fields, model, max_priority=key.max_priority, max_batch=key.max_batch, edit_app=edit_app)
    once = await IdempotentSubmit.of(options, app, key, fields, parts.clock.now())
    full = await _full(parts, app, key, wanted)  # before an earlier submit is looked for, which may have filled it
    if once is not None and (repeated := await once.repeated(parts)) is not None:
        return Accepted(*repeated, is_repeated=True)
    if options.is_low and fields.get("priority") is None:
        wanted = replace(wanted, priority=max(wanted.priority - 1, MIN_PRIORITY))
    if full is not None:
        await _count_refusal(parts, app.name, key.id, full)
        raise full
    await _refuse_long_queue(parts, app, options)
    job_id, urls = new_request_id(), wanted.reference_urls
    references = await parts.references.collect(app, job_id, urls, user=key.user, base_url=base_url) if urls else ()
    async with AsyncExitStack() as unless_queued:
        if urls:
            unless_queued.push_async_callback(parts.references.discard, job_id)
            key = await parts.doorkeeper.admit(request.scope["headers"])  # fetching took long, and it may be revoked
        spec = wanted.spec(app.limits, references)
        backlog = await parts.estimates.backlog(app.name, wanted.priority)
        job = await _new_job(parts, app, key, job_id, wanted.priority, spec, options, webhook, backlog)
        if (repeated := await _queue(parts, job, once)) is not None:
            return Accepted(*repeated, is_repeated=True)
        unless_queued.pop_all()
    parts.metrics.submitted(app.name)
    log.info("request.submitted", request_id=job.id, app=job.app, user=job.user, priority=job.priority)
    return Accepted(job, backlog.requests)


async def unknown_app(request: Request) -> Response:
    """A POST to an app that nothing serves."""
    parts = parts_of(request)
    await parts.doorkeeper.admit(request.scope["headers"])
    _served_app(parts, _called_app(request))
    raise NotFound("There is nothing at this path.")


async def _refuse_long_queue(parts: Parts, app: App, options: Options) -> None:
    """By the requests of everybody that wait for this app; others may arrive at the same moment."""
    if options.max_queue_length is None:
        return
    queue = await parts.store.backlog(MIN_PRIORITY, [app.name])
    excess = queue.requests - options.max_queue_length
    if excess > 0:
        error = QueueTooLong(
            f"{queue.requests} requests wait for {app.name}, more than the {options.max_queue_length} that "
            "fal_max_queue_length allows. Submit it again later, or allow more.",
            excess=excess,
        )
        error.again_in = await parts.estimates.until_shorter(app.name, queue, excess)
        raise error


async def _queue(parts: Parts, job: Job, once: IdempotentSubmit | None) -> tuple[Job, int] | None:
    """None: it waits now. Otherwise the earlier request that its `Idempotency-Key` stands for."""
    try:
        if once is None:
            await parts.store.submit(job)
            return None
        return await once.submit(parts, job)
    except LimitReached as error:
        if job.key_id is not None:
            await _count_refusal(parts, job.app, job.key_id, error)
        raise


async def _full(parts: Parts, app: App, key: ApiKey, wanted: Input) -> LimitReached | None:
    """Whether the key has no room for an edit, before its pictures are fetched, decoded and stored. Others may fill it
    meanwhile, so that the submit itself looks again."""
    if key.max_queued_images is None or not wanted.reference_urls:
        return None
    return await parts.store.over_limit(key.id, wanted.values["batch_size"])


async def _count_refusal(parts: Parts, app: str, key_id: str, error: LimitReached) -> None:
    """Adds when to submit it again."""
    parts.metrics.refused("queued_images")
    error.again_in = await parts.estimates.until_room(app, key_id, error.excess)


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
