"""Requests as JSON, for callers who may see all of it or only what is no content."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import json_response
from pipelet.api.request_urls import public_base_url
from pipelet.api.v1.dependencies import Services
from pipelet.api.v1.schemas import iso_time
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.jobs.job import Job, JobState, LogEntry
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.lists import RequestView
from pipelet.services.requests.results import images_of


def request_item(services: Services, caller: Caller, view: RequestView, *, base_url: str) -> dict[str, Any]:
    """A request in a list."""
    job, shows_content, failure = view.job, view.shows_content, view.job.failure
    progress = job.progress
    return {
        "id": job.id,
        "app": job.app,
        "user": job.user,
        "key_id": job.key_id,
        "state": job.state.value,
        "priority": job.priority,
        "position": view.status.position if job.state is JobState.QUEUED else None,
        "progress": None if progress is None else {"done": progress.done, "total": progress.total},
        "message": services.request_lists.message(view) if shows_content or failure is None else None,
        "width": job.spec.width,
        "height": job.spec.height,
        "batch_size": job.spec.batch_size,
        "seed": job.spec.seed if shows_content else None,
        "input": _input(job) if shows_content else None,
        "thumbnails": _thumbnails(job, base_url) if shows_content else None,
        "store_input": job.store_input,
        "worker": job.worker if caller.has(Scope.OBSERVE) else None,
        "attempt": job.attempt,
        "submitted_at": iso_time(job.submitted_at),
        "started_at": iso_time(job.started_at),
        "finished_at": iso_time(job.finished_at),
        "estimated_seconds": view.total_seconds,
        "inference_seconds": job.inference_seconds,
        # The message of a failure may quote the prompt.
        "error": failure.message if failure is not None and shows_content else None,
        "error_type": None if failure is None else failure.kind.value,
        "cancelled_by": job.cancelled_by,
        "retried_as": job.retried_as,
        "expires_at": iso_time(view.expires_at),
        "kept": job.kept,
    }


async def note_reads(services: Services, caller: Caller, views: Iterable[RequestView]) -> None:
    """Put into the audit trail whose content the caller is about to see."""
    others = [view.job.id for view in views if view.shows_content and not view.is_own]
    if others:
        await services.accounts.content_reads.note(caller.actor, others)


async def detail_response(
    request: Request,
    services: Services,
    caller: Caller,
    view: RequestView,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A request with its images, input images and log."""
    deps, job, base_url = get_dependencies(request), view.job, base_url_of(request)
    body = request_item(services, caller, view, base_url=base_url)
    body |= {"images": None, "input_images": None, "log": None}
    if view.shows_content:
        await note_reads(services, caller, [view])
        where: dict[str, Any] = {"now": deps.clock.now(), "base_url": base_url}
        body["images"] = images_of(job, deps.blobs, **where)
        body["input_images"] = [deps.blobs.signed_url(image.key, **where) for image in job.spec.input_images]
        body["log"] = [_log_line(entry) for entry in await services.request_lists.log(view)]
    return json_response(200, body, headers)


def base_url_of(request: Request) -> str:
    return public_base_url(get_dependencies(request).public_url, request.scope)


def _thumbnails(job: Job, base_url: str) -> list[str]:
    return [f"{base_url}/api/v1/requests/{job.id}/thumbnails/{number}" for number in range(len(job.images))]


def _input(job: Job) -> dict[str, Any]:
    """The input as a submit takes it, without the URLs of its images."""
    spec = job.spec
    found = {
        "prompt": spec.prompt,
        "negative_prompt": spec.negative_prompt,
        "width": spec.width,
        "height": spec.height,
        "batch_size": spec.batch_size,
        "seed": spec.seed,
        "num_inference_steps": spec.num_inference_steps,
        "guidance_scale": spec.guidance_scale,
        "output_format": spec.output_format.value,
        "strength": spec.strength,
    }
    return {name: value for name, value in found.items() if value is not None}


def _log_line(entry: LogEntry) -> dict[str, Any]:
    return {"at": iso_time(entry.at), "level": entry.level, "message": entry.message}
