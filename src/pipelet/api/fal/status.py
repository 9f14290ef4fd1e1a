"""The status of a request: the same document for polls and streams."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.errors import json_response
from pipelet.api.fal.input.options import is_flag_set
from pipelet.api.fal.long_poll import long_poll, read_wait
from pipelet.api.fal.lookup import get_own_job, request_id_headers
from pipelet.api.request_urls import request_urls
from pipelet.domain.jobs.job import JobState, LogEntry
from pipelet.services.requests.status import JobStatus

WIRE_STATES = {
    JobState.QUEUED: "IN_QUEUE",
    JobState.RUNNING: "IN_PROGRESS",
    JobState.SUCCEEDED: "COMPLETED",
    JobState.FAILED: "COMPLETED",
    JobState.CANCELLED: "COMPLETED",
}


async def status(request: Request) -> Response:
    """Each of fal's clients polls this ten times a second: no dependency injection, no response model."""
    deps = get_dependencies(request)
    path, job = await get_own_job(deps, request)
    headers, wait = request_id_headers(job), read_wait(request.scope)
    if wait is not None:
        job = await long_poll(deps, request, job, wait)
        headers |= {"Preference-Applied": f"wait={wait}"}
    job_status = await deps.statuses.load(job)
    logs = await deps.jobs.log(job) if wants_logs(request) else None
    urls = request_urls(deps.public_url, request.scope, path, job.id)
    body = await status_document(deps, job_status, urls=urls, logs=logs)
    return json_response(200 if job.state.is_final else 202, body, headers)


async def status_document(
    deps: Dependencies, job_status: JobStatus, *, urls: Mapping[str, str], logs: Sequence[LogEntry] | None
) -> dict[str, Any]:
    """`logs` is None if the client did not ask for logs; the field is then null."""
    job = job_status.job
    body: dict[str, Any] = {
        "status": WIRE_STATES[job.state],
        "queue_position": job_status.position,
        "statusMessages": {
            "message": deps.statuses.message(job_status),
            "estimatedTotalTimeSeconds": await deps.statuses.total_seconds(job_status),
        },
        "request_id": job.id,
        **urls,
        "logs": None if logs is None else [_log_entry(entry) for entry in logs],
        "metrics": {"inference_time": job.inference_seconds} if job.state.is_final else {},
    }
    if job.failure is not None:
        body |= {"error": job.failure.message, "error_type": job.failure.kind.value}
    return body


def wants_logs(request: Request) -> bool:
    return is_flag_set("logs", request.scope["query_string"])


def _log_entry(entry: LogEntry) -> dict[str, str]:
    at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"message": entry.message, "level": entry.level, "source": "USER", "timestamp": at}
