"""What fal's queue tells of a request, and how it is cancelled."""

from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import Response

from pipelet.api import addresses
from pipelet.api import status as statuses
from pipelet.api.flags import asks_for
from pipelet.api.parts import Parts, parts_of
from pipelet.api.problems import fault, json_response, problem_response
from pipelet.domain.errors import NotFound
from pipelet.domain.ids import is_request_id
from pipelet.domain.job import CancelAnswer, Job, State
from pipelet.domain.outcome import FailureKind
from pipelet.domain.result import images_of, result_document

log = structlog.get_logger()

_UNKNOWN = "There is no request with this id. It may have expired, or belong to another user."


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
    also_running = asks_for("in_progress", request.scope["query_string"])
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
    return result_of(parts, request, job)


def result_of(parts: Parts, request: Request, job: Job) -> Response:
    if job.state is State.SUCCEEDED:
        return json_response(200, result_document(job, _images(parts, request, job)), names(job))
    if job.failure is None:
        return problem_response(400, "Request is still in progress", headers=names(job))
    return _failed(job, _images(parts, request, job))


async def find(parts: Parts, request: Request) -> tuple[str, Job]:
    """The called app, and the caller's request; a request answers under every app's path.

    Raises:
        NotFound: the same for ids of any shape, of nobody and of somebody else.
    """
    key = await parts.doorkeeper.admit(request.scope["headers"])
    app, job_id = request.path_params["app"], request.path_params["request_id"]
    if app not in parts.catalog.apps:
        raise NotFound(f"There is no app of this name. Known apps: {', '.join(parts.catalog.apps)}.")
    job = await find_any(parts, job_id) if is_request_id(job_id) else None
    if job is None or job.user != key.user:
        raise NotFound(_UNKNOWN)
    return app, job


async def find_any(parts: Parts, job_id: str) -> Job:
    """Whosever it is.

    Raises:
        NotFound: there is none, or not any more.
    """
    job = await parts.store.get(job_id)
    if job is None or job.is_forgotten(parts.clock.now()):
        raise NotFound(_UNKNOWN)
    return job


def _images(parts: Parts, request: Request, job: Job) -> list[dict[str, Any]]:
    base_url = addresses.base_url(parts.public_url, request.scope)
    return images_of(job, parts.blobs, now=parts.clock.now(), base_url=base_url)


def _failed(job: Job, images: list[dict[str, Any]]) -> Response:
    """`images` were finished before it ended."""
    assert job.failure is not None  # noqa: S101 - the caller looked
    kind, message = job.failure.kind, job.failure.message
    if kind is FailureKind.INVALID_INPUT:
        detail = [fault(["body"], message, kind.value)]
        return problem_response(422, detail, message=message, error_type=kind.value, headers=names(job))
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
