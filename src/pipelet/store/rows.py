"""Rows to domain values and back. Works on any row that is read by column name."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, asdict, fields
from functools import lru_cache
from itertools import groupby
from typing import Any, Protocol

from pipelet.domain.estimate import Ahead, Learned, Work
from pipelet.domain.idempotency import IdempotencyKey
from pipelet.domain.image import ImageSpec, OutputFormat, Reference, StoredImage
from pipelet.domain.job import Job, LogLine, State, Version
from pipelet.domain.keys import LIMITS, ApiKey, KeyLimits
from pipelet.domain.outcome import Failure, FailureKind
from pipelet.domain.ports import Drawn, QueueCounts, Running
from pipelet.domain.progress import Progress
from pipelet.domain.webhook_keys import Role, WebhookKey
from pipelet.domain.webhooks import Delivery, DeliveryReport, DeliveryState, Try, Undelivered, Webhook
from pipelet.domain.workers import ReportAnswer, WorkerReport

_SPEC_FIELDS = tuple(field.name for field in fields(ImageSpec) if field.default is MISSING)


class Row(Protocol):
    def __getitem__(self, column: str, /) -> Any: ...


def job_from(row: Row) -> Job:
    return Job(
        seq=row["seq"],
        id=row["id"],
        app=row["app"],
        user=row["owner"],
        priority=row["priority"],
        spec=_spec_from(row["spec"]),
        work=_work_from(row, 1.0),
        submitted_at=row["submitted_at"],
        expected_seconds=row["expected_seconds"],
        key_id=row["key_id"],
        is_limited=bool(row["limited"]),
        asked_priority=row["asked_priority"],
        webhook=_webhook_from(row["webhook"]),
        start_by=row["start_by"],
        is_single_attempt=bool(row["single_attempt"]),
        keeps_input=bool(row["keep_input"]),
        keep_seconds=row["keep_seconds"],
        state=State(row["state"]),
        attempt=row["attempt"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        progress=_progress_from(row),
        images=images_from(row["images"] or row["finished_images"]),
        inference_seconds=row["inference_seconds"],
        failure=_failure_from(row),
    )


def job_columns(job: Job) -> dict[str, Any]:
    """What a new row holds."""
    work = job.work
    return {
        "id": job.id,
        "app": job.app,
        "owner": job.user,
        "priority": job.priority,
        "spec": _spec_column(job.spec),
        "steps": work.steps,
        "megapixels": work.megapixels,
        "megapixel_steps": work.megapixel_steps,
        "attention": work.attention,
        "submitted_at": job.submitted_at,
        "expected_seconds": job.expected_seconds,
        "key_id": job.key_id,
        "limited": job.is_limited,
        "image_count": job.spec.batch_size,
        "webhook": None if job.webhook is None else json.dumps(asdict(job.webhook)),
        "start_by": job.start_by,
        "single_attempt": job.is_single_attempt,
        "keep_input": job.keeps_input,
        "keep_seconds": job.keep_seconds,
    }


def version_from(row: Row) -> Version:
    return Version(
        row["state"],
        row["attempt"],
        row["started_at"],
        row["tasks_done"],
        row["tasks_total"],
        row["priority"],
        row["seq"],
        1 + row["written_lines"],  # see `submitted_line`
    )


@lru_cache(4096)  # the same few requests are polled again and again, and a spec never changes
def _spec_from(text: str) -> ImageSpec:
    """Whatever a newer version wrote is passed by and named, so that users are told of their requests all the same."""
    found, unread = _known(ImageSpec, json.loads(text))
    references = [_known(Reference, each) for each in found.get("references", ())]
    unread |= {name for _, names in references for name in names}
    if found["output_format"] not in [*OutputFormat]:
        unread.add("output_format")
        found["output_format"] = OutputFormat.PNG
    found["output_format"] = OutputFormat(found["output_format"])
    found["references"] = tuple(Reference(**each) for each, _ in references)
    return ImageSpec(**found, unread=tuple(sorted(unread)))


def _known(kind: type, found: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The fields of the dataclass `kind`, and the names of all others."""
    names = {field.name for field in fields(kind)} - {"unread"}
    return {name: value for name, value in found.items() if name in names}, found.keys() - names


def _spec_column(spec: ImageSpec) -> str:
    columns = {name: getattr(spec, name) for name in _SPEC_FIELDS}
    # Left out where there are none: a process of the version before, which knows no such field, reads all others.
    if spec.references:
        columns["references"] = [asdict(each) for each in spec.references]
    if spec.strength is not None:
        columns["strength"] = spec.strength
    return json.dumps(columns, ensure_ascii=False)


def _webhook_from(text: str | None) -> Webhook | None:
    return None if text is None else Webhook(**_known(Webhook, json.loads(text))[0])


def _failure_from(row: Row) -> Failure | None:
    kind: str | None = row["failure_kind"]
    if kind is None:
        return None
    return Failure(FailureKind(kind) if kind in [*FailureKind] else FailureKind.INTERNAL, row["failure_message"])


def _progress_from(row: Row) -> Progress | None:
    return None if row["tasks_total"] is None else Progress(row["tasks_done"], row["tasks_total"])


def images_from(text: str | None) -> tuple[StoredImage, ...]:
    return tuple(StoredImage(**_known(StoredImage, image)[0]) for image in json.loads(text)) if text else ()


def images_column(images: tuple[StoredImage, ...]) -> str:
    return json.dumps([asdict(image) for image in images])


def ahead_from(row: Row) -> Ahead:
    return Ahead(row["requests"], _work_from(row, float(row["requests"])))


def running_from(row: Row) -> Running:
    return Running(row["app"], _work_from(row, 1.0), row["started_at"], _progress_from(row))


def _work_from(row: Row, requests: float) -> Work:
    return Work(requests, row["steps"], row["megapixels"], row["megapixel_steps"], row["attention"])


def log_line_from(row: Row) -> LogLine:
    return LogLine(at=row["at"], level=row["level"], message=row["message"])


def idempotency_key_from(row: Row) -> IdempotencyKey:
    return IdempotencyKey(
        user=row["owner"],
        key=row["key"],
        fingerprint=row["fingerprint"],
        job_id=row["job_id"],
        expires_at=row["expires_at"],
    )


def key_from(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        user=row["owner"],
        hash=bytes(row["hash"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        max_priority=row["max_priority"],
        max_queued_images=row["max_queued_images"],
        max_running_images=row["max_running_images"],
    )


def limit_columns(limits: KeyLimits) -> dict[str, Any]:
    """Each limit, and whether it is to be written."""
    values = {name: limits.get(name) for name in LIMITS}
    return values | {f"set_{name}": name in limits for name in LIMITS}


def key_columns(key: ApiKey | IdempotencyKey) -> dict[str, Any]:
    """`user` is a word of SQL's."""
    columns = asdict(key)
    columns["owner"] = columns.pop("user")
    return columns


def worker_from(row: Row) -> WorkerReport:
    return WorkerReport(
        name=row["name"],
        model=row["model"],
        kind=row["kind"],
        apps=tuple(json.loads(row["apps"])),
        version=row["version"],
        ready=bool(row["ready"]),
        problem=row["problem"],
        seen_at=row["seen_at"],
        expires_at=row["expires_at"],
        incarnation=row["incarnation"],
        draining=bool(row["draining"]),
    )


def worker_columns(report: WorkerReport) -> dict[str, Any]:
    return asdict(report) | {"apps": json.dumps(report.apps)}


def report_answer_from(row: Row | None) -> ReportAnswer:
    if row is None:
        return ReportAnswer.NAME_TAKEN
    return ReportAnswer.DRAIN if row["draining"] else ReportAnswer.GO_ON


def counts_from(running: Iterable[Row], queued: Iterable[Row]) -> dict[str, QueueCounts]:
    runs, waits = {row["app"]: row for row in running}, {row["app"]: row for row in queued}
    return {
        app: QueueCounts(
            queued=waits[app]["queued"] if app in waits else 0,
            running=runs[app]["running"] if app in runs else 0,
            oldest_submitted_at=waits[app]["oldest_submitted_at"] if app in waits else None,
        )
        for app in runs.keys() | waits.keys()
    }


def drawn_from(found: Iterable[Row]) -> dict[str, Drawn]:
    return {row["app"]: Drawn(row["requests"], row["images"]) for row in found}


def submitted_line(job: Job) -> LogLine:
    """The first of every log; the priority is the one that was asked for."""
    priority = job.priority if job.asked_priority is None else job.asked_priority
    return LogLine(at=job.submitted_at, level="INFO", message=f"Queued with priority {priority}.")


def learned_from(row: Row) -> Learned:
    sums = json.loads(row["sums"])
    return Learned(row["count"], tuple(sums["matrix"]), tuple(sums["vector"]))


def learned_columns(learned: Learned) -> dict[str, Any]:
    return {"count": learned.count, "sums": json.dumps({"matrix": learned.matrix, "vector": learned.vector})}


def delivery_from(row: Row, token: str) -> Delivery:
    return Delivery(job_id=row["job_id"], user=row["owner"], receiver=row["receiver"], tries=row["tries"], token=token)


def try_columns(attempt: Try) -> dict[str, Any]:
    return {"at": attempt.at, "seconds": attempt.seconds, "code": attempt.code, "error": attempt.error}


def delivery_reports_from(found: Iterable[Row]) -> list[DeliveryReport]:
    """From one row a try; one that was not tried has a row without."""
    return [_delivery_report_from(list(of_one)) for _, of_one in groupby(found, key=lambda row: row["job_id"])]


def _delivery_report_from(of_one: Sequence[Row]) -> DeliveryReport:
    first = of_one[0]
    webhook = _webhook_from(first["webhook"])
    assert webhook is not None  # noqa: S101 - a delivery has one
    tries = (row for row in of_one if row["at"] is not None)
    return DeliveryReport(
        job_id=first["job_id"],
        url=webhook.url,
        state=DeliveryState(first["state"]),
        since=first["since"],
        due_at=first["due_at"],
        tries=tuple(Try(row["at"], row["seconds"], row["code"], row["error"]) for row in tries),
    )


def undelivered_from(row: Row) -> Undelivered:
    return Undelivered(row["count"], row["oldest"])


def webhook_key_from(row: Row) -> WebhookKey:
    return WebhookKey(
        id=row["id"],
        role=Role(row["role"]),
        private=bytes(row["private"]),
        public=bytes(row["public"]),
        created_at=row["created_at"],
        retired_at=row["retired_at"],
    )


def webhook_key_columns(key: WebhookKey) -> dict[str, Any]:
    return asdict(key)
