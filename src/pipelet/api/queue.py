"""fal's queue routes: submit, status, cancel, result."""

from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import Response

from pipelet.api import addresses
from pipelet.api import status as statuses
from pipelet.api.body import read_object
from pipelet.api.inputs import Wanted, echo, read_input
from pipelet.api.parts import Parts, parts_of
from pipelet.api.problems import Problem, json_response, problem_response
from pipelet.api.sight import WIRE_STATES
from pipelet.domain.catalog import App
from pipelet.domain.errors import NotFound
from pipelet.domain.estimate import Ahead, drawing
from pipelet.domain.ids import is_request_id, new_request_id
from pipelet.domain.job import CancelAnswer, Job, State
from pipelet.domain.keys import ApiKey
from pipelet.domain.outcome import FailureKind

log = structlog.get_logger()

_UNKNOWN = "There is no request with this id. It may have expired, or belong to another user."


async def submit(request: Request) -> Response:
    parts = parts_of(request)
    key = await parts.doorkeeper.admit(request.scope["headers"])
    app = _served_app(parts, _called_app(request))
    fields = await read_object(request, max_bytes=app.limits.max_body_bytes)
    _refuse_webhook(request)
    wanted = read_input(fields, parts.inputs[app.name], max_priority=key.max_priority, max_batch=key.max_batch)
    backlog = await parts.estimates.backlog(app.name, wanted.priority)
    job = await parts.store.submit(await _new_job(parts, app, key, wanted, backlog))
    parts.metrics.submitted(app.name)
    log.info("request.submitted", request_id=job.id, app=job.app, user=job.user, priority=job.priority)
    body: dict[str, Any] = {
        "request_id": job.id,
        **addresses.of_request(parts.public_url, request.scope, app.name, job.id),
        "status": WIRE_STATES[State.QUEUED],
        "queue_position": backlog.requests,
        "logs": None,
        "metrics": {},
    }
    return json_response(200, body, names(job))


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
    match await parts.store.cancel(job.id, parts.clock.now()):
        case CancelAnswer.CANCELLED:
            log.info("request.cancelled", request_id=job.id, user=job.user)
            return json_response(202, {"status": "CANCELLATION_REQUESTED"}, names(job))
        case CancelAnswer.ALREADY_RUNNING:
            return _too_late(
                "ALREADY_IN_PROGRESS", "The request has begun; only waiting requests can be cancelled.", job
            )
        case CancelAnswer.ALREADY_FINISHED:
            return _too_late("ALREADY_COMPLETED", "The request has ended already.", job)
        case CancelAnswer.UNKNOWN:
            raise NotFound(_UNKNOWN)


async def result(request: Request) -> Response:
    parts = parts_of(request)
    _, job = await find(parts, request)
    if job.state is State.SUCCEEDED:
        return json_response(200, _output(parts, request, job), names(job))
    if job.failure is None:
        return problem_response(400, "Request is still in progress", headers=names(job))
    return _failed(job)


async def unknown_app(request: Request) -> Response:
    """A POST to an app that nothing serves."""
    parts = parts_of(request)
    await parts.doorkeeper.admit(request.scope["headers"])
    _served_app(parts, _called_app(request))
    raise NotFound("There is nothing at this path.")


def _refuse_webhook(request: Request) -> None:
    """Taken silently, it would never be called."""
    if b"fal_webhook" not in request.scope["query_string"]:
        return
    target = request.query_params.get("fal_webhook")
    if target is not None:
        detail = "Webhooks are not offered here. Leave fal_webhook out, and poll status_url."
        fault = {"loc": ["query", "fal_webhook"], "msg": detail, "type": "feature_not_supported", "input": echo(target)}
        raise Problem(422, [fault], message=detail)


async def _new_job(parts: Parts, app: App, key: ApiKey, wanted: Wanted, backlog: Ahead) -> Job:
    spec, work = wanted.spec, drawing(wanted.spec, parts.catalog.model_of(app))
    return Job(
        id=new_request_id(),
        app=app.name,
        user=key.user,
        priority=wanted.priority,
        spec=spec,
        work=work,
        submitted_at=parts.clock.now(),
        expected_seconds=await parts.estimates.expected_seconds(app.name, spec, work, backlog),
        key_id=key.id,
        is_limited=key.has_limits,
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
    if job is None or job.user != key.user:
        raise NotFound(_UNKNOWN)
    return app, job


def _output(parts: Parts, request: Request, job: Job) -> dict[str, Any]:
    now, base_url = parts.clock.now(), addresses.base_url(parts.public_url, request.scope)
    urls = [parts.blobs.url(image.key, now=now, base_url=base_url) for image in job.images]
    images = [
        {
            "url": url,
            "file_name": image.file_name,
            "content_type": image.content_type,
            "file_size": image.file_size,
            "width": image.width,
            "height": image.height,
            "seed": image.seed,
        }
        for url, image in zip(urls, job.images, strict=True)
    ]
    return {
        "image": {"data_uri": urls[0], "file_name": job.images[0].file_name},
        "results": urls,
        "images": images,
        "seed": job.spec.seed,
        "prompt": job.spec.prompt,
        "timings": {"inference": job.inference_seconds},
    }


def _failed(job: Job) -> Response:
    assert job.failure is not None  # noqa: S101 - the caller looked
    kind, message = job.failure.kind, job.failure.message
    if kind is FailureKind.INVALID_INPUT:
        fault = {"loc": ["body"], "msg": message, "type": kind.value, "input": None}
        return problem_response(422, [fault], message=message, error_type=kind.value, headers=names(job))
    status = 499 if kind is FailureKind.CANCELLED else 500
    return problem_response(status, message, error_type=kind.value, headers=names(job))


def _too_late(status: str, detail: str, job: Job) -> Response:
    return problem_response(400, detail, more={"status": status}, headers=names(job))


def names(job: Job) -> dict[str, str]:
    return {"x-fal-request-id": job.id}
