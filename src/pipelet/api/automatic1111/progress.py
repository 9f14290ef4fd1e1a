"""Progress and interruption of "the" request: the caller's newest through this API, and no other user's."""

import base64
from datetime import UTC, datetime
from typing import Any, cast

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.errors import json_response
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.newest import NewestRequest
from pipelet.services.requests.status import JobStatus

API = "automatic1111"
_FALSE = ("", "0", "false")


def get_newest(request: Request) -> NewestRequest:
    return cast(NewestRequest, request.scope["app"].state.automatic1111)


async def show_progress(request: Request, caller: Caller) -> Response:
    deps, found = get_dependencies(request), await get_newest(request).load(caller.user)
    if found is None:
        return json_response(200, _document(0.0, 0.0, _state(None, deps)))
    job = found.job
    share = job.progress.done / job.progress.total if job.progress is not None else 0.0
    total = await deps.statuses.total_seconds(found)
    left = 0.0 if total is None else max(job.submitted_at + total - deps.clock.now(), 0.0)
    image = None
    if request.query_params.get("skip_current_image", "").lower() in _FALSE:
        preview = await deps.previews.read(job)
        image = None if preview is None else base64.b64encode(preview.image).decode("ascii")
    return json_response(200, _document(share, left, _state(found, deps), image))


async def interrupt(request: Request, caller: Caller) -> Response:
    await get_newest(request).interrupt(caller.user)
    return json_response(200, {})


def _document(progress: float, seconds_left: float, state: dict[str, Any], image: str | None = None) -> dict[str, Any]:
    return {
        "progress": progress,
        "eta_relative": seconds_left,
        "state": state,
        "current_image": image,
        "textinfo": None,
    }


def _state(found: JobStatus | None, deps: Dependencies) -> dict[str, Any]:
    job = None if found is None else found.job
    state = {"skipped": False, "interrupted": False, "stopping_generation": False}
    if found is None or job is None:
        return state | {
            "job": "",
            "job_count": 0,
            "job_timestamp": "0",
            "job_no": 0,
            "sampling_step": 0,
            "sampling_steps": 0,
        }
    steps = deps.statuses.plan_of(job).denoise_steps
    share = job.progress.done / job.progress.total if job.progress is not None else 0.0
    return state | {
        "job": job.id,
        "job_count": 1,
        "job_timestamp": datetime.fromtimestamp(job.submitted_at, UTC).strftime("%Y%m%d%H%M%S"),
        "job_no": 0,
        "sampling_step": int(share * steps),
        "sampling_steps": steps,
    }
