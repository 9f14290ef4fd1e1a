"""Rows, read by column name, to domain values and back."""

import json
from dataclasses import MISSING, asdict, fields
from functools import cache, lru_cache
from typing import Any, Protocol, TypeVar, cast

from pipelet.domain.capacity.cost_model import Work
from pipelet.domain.generation.image import ImageSpec, InputImage, OutputFormat, StoredImage
from pipelet.domain.jobs.idempotency import IdempotencyKey
from pipelet.domain.jobs.job import Job, JobRevision, JobState, LogEntry
from pipelet.domain.jobs.outcome import CANCEL_MESSAGES, CancelledBy, Failure, FailureKind
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.webhooks.delivery import Webhook, WebhookEvent

T = TypeVar("T")

REVISION = JobRevision._fields[:-1]
"""The columns of `get_job_revision.sql`."""
_SPEC_FIELDS = tuple(field.name for field in fields(ImageSpec) if field.default is MISSING)


class Row(Protocol):
    def __getitem__(self, column: str, /) -> Any: ...


def from_row(kind: type[T], row: Row, **changes: Any) -> T:
    """Build a dataclass from the columns that are called like its fields; `changes` are the other fields."""
    return kind(**{name: row[name] for name in _columns_of(cast(type, kind), *changes)}, **changes)


@cache
def _columns_of(kind: type, *others: str) -> tuple[str, ...]:
    """Return the names of the fields of the dataclass `kind` without `others`."""
    return tuple(field.name for field in fields(kind) if field.name not in others)


def job_from(row: Row) -> Job:
    return from_row(
        Job,
        row,
        user=row["owner"],
        spec=_spec_from(row["spec"]),
        work=work_from(row, 1.0),
        is_limited=bool(row["quota_limited"]),
        is_user_limited=bool(row["user_limited"]),
        webhook=webhook_from(row["webhook"]),
        no_retry=bool(row["no_retry"]),
        store_input=bool(row["store_input"]),
        inline_images=bool(row["inline_images"]),
        state=JobState(row["state"]),
        progress=progress_from(row),
        images=images_from(row["images"] or row["finished_images"]),
        failure=_failure_from(row),
        kept=bool(row["kept"]),
        cancelled_by=_cancelled_by(row),
    )


def job_columns(job: Job) -> dict[str, Any]:
    """Return the columns of a new row."""
    work = job.work
    return {
        "id": job.id,
        "app": job.app,
        "model": job.model,
        "turn_cost": job.turn_cost,
        "owner": job.user,
        "priority": job.priority,
        "spec": _spec_column(job.spec),
        "steps": work.steps,
        "megapixels": work.megapixels,
        "megapixel_steps": work.megapixel_steps,
        "attention": work.attention,
        "submitted_at": job.submitted_at,
        "estimated_seconds": job.estimated_seconds,
        "key_id": job.key_id,
        "quota_limited": job.is_limited,
        "user_limited": job.is_user_limited,
        "image_count": job.spec.batch_size,
        "webhook": None if job.webhook is None else _webhook_column(job.webhook),
        "start_deadline": job.start_deadline,
        "no_retry": job.no_retry,
        "store_input": job.store_input,
        "inline_images": job.inline_images,
        "retention_seconds": job.retention_seconds,
    }


def revision_from(row: Row) -> JobRevision:
    lines = 1 + row["log_entries"]  # see `submitted_entry`
    return JobRevision._make([*(row[column] for column in REVISION), lines])


@lru_cache(4096)  # the same few requests are polled repeatedly, and a spec never changes
def _spec_from(text: str) -> ImageSpec:
    """Skip and name the fields that a newer version wrote, so that the status of such a request can still be read."""
    found, unknown_fields = _known_fields(ImageSpec, json.loads(text))
    input_images = [_known_fields(InputImage, each) for each in found.get("input_images", ())]
    unknown_fields |= {name for _, names in input_images for name in names}
    if found["output_format"] not in [*OutputFormat]:
        unknown_fields.add("output_format")
        found["output_format"] = OutputFormat.PNG
    found["output_format"] = OutputFormat(found["output_format"])
    found["input_images"] = tuple(InputImage(**each) for each, _ in input_images)
    return ImageSpec(**found, unknown_fields=tuple(sorted(unknown_fields)))


def _known_fields(kind: type, found: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Return the fields of the dataclass `kind`, and the names of all others."""
    names = _field_names(kind)
    if found.keys() <= names:
        return found, set()
    return {name: value for name, value in found.items() if name in names}, found.keys() - names


@cache
def _field_names(kind: type) -> frozenset[str]:
    return frozenset(_columns_of(kind, "unknown_fields"))


def _spec_column(spec: ImageSpec) -> str:
    columns = {name: getattr(spec, name) for name in _SPEC_FIELDS}
    # Optional fields are left out if unset, so that a process of an earlier version can read all other jobs.
    if spec.input_images:
        columns["input_images"] = [asdict(each) for each in spec.input_images]
    if spec.strength is not None:
        columns["strength"] = spec.strength
    if spec.output_quality is not None:
        columns["output_quality"] = spec.output_quality
    return json.dumps(columns, ensure_ascii=False)


@lru_cache(1024)  # most requests of a user name the same one
def webhook_from(text: str | None) -> Webhook | None:
    if text is None:
        return None
    found = _known_fields(Webhook, json.loads(text))[0]
    known = [each for each in found.pop("events", ()) if each in [*WebhookEvent]]
    return Webhook(**found, events=tuple(map(WebhookEvent, known)))


def _webhook_column(webhook: Webhook) -> str:
    columns = asdict(webhook)
    if not webhook.events:
        del columns["events"]
    return json.dumps(columns)


def _failure_from(row: Row) -> Failure | None:
    kind: str | None = row["failure_kind"]
    if kind is None:
        return None
    by = _cancelled_by(row)
    message = row["failure_message"] if by is None else CANCEL_MESSAGES[by]  # the worker that stopped it did not know
    return Failure(FailureKind(kind) if kind in [*FailureKind] else FailureKind.INTERNAL, message)


def _cancelled_by(row: Row) -> CancelledBy | None:
    if row["failure_kind"] != FailureKind.CANCELLED:
        return None  # a request can succeed after its cancel was noted
    by: str | None = row["cancelled_by"]
    if by is None:  # cancelled by an earlier version, which noted an operator in the message only
        return CancelledBy.OPERATOR if row["failure_message"] == CANCEL_MESSAGES[CancelledBy.OPERATOR] else None
    return CancelledBy(by) if by in [*CancelledBy] else None


def progress_from(row: Row) -> Progress | None:
    return None if row["tasks_total"] is None else Progress(row["tasks_done"], row["tasks_total"])


def images_from(text: str | None) -> tuple[StoredImage, ...]:
    return tuple(StoredImage(**_known_fields(StoredImage, image)[0]) for image in json.loads(text)) if text else ()


def images_column(images: tuple[StoredImage, ...]) -> str:
    return json.dumps([asdict(image) for image in images])


def work_from(row: Row, requests: float) -> Work:
    return Work(requests, row["steps"], row["megapixels"], row["megapixel_steps"], row["attention"])


def idempotency_key_from(row: Row) -> IdempotencyKey:
    return from_row(IdempotencyKey, row, user=row["owner"])


def idempotency_key_columns(key: IdempotencyKey, now: float) -> dict[str, Any]:
    """Return the parameters of `claim_idempotency_key`; `user` is a reserved word of SQL."""
    return asdict(key) | {"owner": key.user, "now": now}


def submitted_entry(job: Job) -> LogEntry:
    """Return the first entry of every log; it shows the requested priority."""
    priority = job.priority if job.requested_priority is None else job.requested_priority
    return LogEntry(at=job.submitted_at, level="INFO", message=f"Queued with priority {priority}.")
