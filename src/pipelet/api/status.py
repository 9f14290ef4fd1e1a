"""What is said of a request on its way: one shape, whoever asks, by polling or by listening."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipelet.api.flags import asks_for
from pipelet.api.parts import Parts
from pipelet.api.sight import Sight, why_it_waits
from pipelet.domain.catalog import Model
from pipelet.domain.job import Job, LogLine, State
from pipelet.domain.parts import split
from pipelet.domain.progress import Progress, tasks_of_job


async def see(parts: Parts, job: Job) -> Sight:
    if job.state is not State.QUEUED:
        return Sight(job)
    why = await why_it_waits(job, parts.store, parts.paused, parts.estimates)
    return Sight(job, await parts.estimates.ahead(job), why)


async def describe(
    parts: Parts, sight: Sight, *, urls: Mapping[str, str], logs: Sequence[LogLine] | None
) -> dict[str, Any]:
    """The body of a status. `logs` is None where they were not asked for: then it is null, and never missing."""
    job = sight.job
    now, estimates = parts.clock.now(), parts.estimates
    body: dict[str, Any] = {
        "status": sight.status,
        "queue_position": sight.position,
        "statusMessages": {
            "message": message(parts, sight),
            "estimatedTotalTimeSeconds": (
                None if sight.has_no_outlook else await estimates.total_seconds(job, sight.ahead, now)
            ),
        },
        "request_id": job.id,
        **urls,
        "logs": None if logs is None else [_log_entry(line) for line in logs],
        "metrics": {"inference_time": job.inference_seconds} if job.state.is_final else {},
    }
    if job.failure is not None:
        body |= {"error": job.failure.message, "error_type": job.failure.kind.value}
    return body


def message(parts: Parts, sight: Sight) -> str:
    job, ahead = sight.job, sight.ahead
    if ahead is not None:
        return f"Queued: {ahead.requests} request{'' if ahead.requests == 1 else 's'} ahead{sight.why_it_waits}"
    if job.failure is not None:
        return job.failure.message
    progress = job.progress or Progress(0, _tasks(parts, job))
    return str(Progress(progress.total, progress.total) if job.state is State.SUCCEEDED else progress)


def wants_logs(query: bytes) -> bool:
    return asks_for("logs", query)


def _tasks(parts: Parts, job: Job) -> int:
    """What the worker will count to, said before it has said so itself."""
    app = parts.catalog.apps.get(job.app)
    if app is None or app.model is None:
        return tasks_of_job(job.spec, Model(name="", source=""), 1)
    model = parts.catalog.model_of(app)
    runs = split(job.spec.batch_size, model.megapixels_held(job.spec), model.megapixels_per_run)
    return tasks_of_job(job.spec, model, len(runs))


def _log_entry(line: LogLine) -> dict[str, str]:
    at = datetime.fromtimestamp(line.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"message": line.message, "level": line.level, "source": "USER", "timestamp": at}
