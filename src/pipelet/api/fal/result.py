"""The result of a request, or the error that it ended with."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.errors import error_detail, json_response, problem_response
from pipelet.api.fal.lookup import get_own_job, request_id_headers
from pipelet.api.request_urls import public_base_url
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.jobs.outcome import Failure, FailureKind
from pipelet.services.requests.results import images_of, result_document


async def result(request: Request) -> Response:
    deps = get_dependencies(request)
    _, job = await get_own_job(deps, request)
    return await result_response(deps, request, job)


async def result_response(deps: Dependencies, request: Request, job: Job) -> Response:
    if job.state is not JobState.SUCCEEDED:
        return unsuccessful_response(deps, request, job)
    return json_response(200, result_document(job, signed_images(deps, request, job)), request_id_headers(job))


def signed_images(deps: Dependencies, request: Request, job: Job) -> list[dict[str, Any]]:
    """Its finished images, with URLs that are signed now."""
    base_url = public_base_url(deps.public_url, request.scope)
    return images_of(job, deps.blobs, now=deps.clock.now(), base_url=base_url)


def unsuccessful_response(deps: Dependencies, request: Request, job: Job) -> Response:
    """The error that a request ended with, or that it has not ended."""
    if job.failure is None:
        return problem_response(400, "Request is still in progress", headers=request_id_headers(job))
    return _failure_response(job.failure, signed_images(deps, request, job), request_id_headers(job))


def _failure_response(failure: Failure, images: list[dict[str, Any]], headers: dict[str, str]) -> Response:
    """`images` are those that were finished before the request ended."""
    kind, message = failure.kind, failure.message
    if kind is FailureKind.INVALID_INPUT:
        detail = [error_detail(["body"], message, kind.value)]
        return problem_response(422, detail, message=message, error_type=kind.value, headers=headers)
    if kind is FailureKind.REQUEST_TIMEOUT:
        # This header tells fal's clients that the error is final, so that they do not retry.
        headers |= {"X-Fal-Request-Timeout-Type": "user"}
        return problem_response(504, message, error_type=kind.value, headers=headers)
    status = 499 if kind is FailureKind.CANCELLED else 500
    extra = {"images": images} if images else None
    return problem_response(status, message, error_type=kind.value, extra=extra, headers=headers)
