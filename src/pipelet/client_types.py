"""What `client` returns, read from the answers of the service."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelet.domain.progress import Progress

_PROGRESS = re.compile(r"Progress: (\d+)/(\d+) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    request_id: str
    queue_position: int
    """How many requests start before this one."""
    body: Mapping[str, Any]
    """What the service answered, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    request_id: str
    status: str
    """`IN_QUEUE`, `IN_PROGRESS` or `COMPLETED`; failed and cancelled requests are completed."""
    queue_position: int
    message: str
    """For people: how many requests are ahead, how many tasks are done, or why it failed."""
    estimated_total_seconds: int | None
    """From submit to result; None while the app is paused or no worker serves it."""
    error: str | None
    body: Mapping[str, Any]

    @property
    def is_finished(self) -> bool:
        return self.status == "COMPLETED"

    @property
    def progress(self) -> Progress | None:
        found = _PROGRESS.match(self.message)
        return Progress(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    url: str
    """Works without a key, for a limited time."""
    file_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    files: tuple[ResultFile, ...]
    seed: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    is_ready: bool
    version: str
    checks: Mapping[str, str]
    """By name of a part: `ok`, `unavailable` or, with a key, what is wrong with it."""
    workers: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]


def status_from(body: dict[str, Any]) -> Status:
    return Status(
        request_id=body["request_id"],
        status=body["status"],
        queue_position=body["queue_position"],
        message=body["statusMessages"]["message"],
        estimated_total_seconds=body["statusMessages"]["estimatedTotalTimeSeconds"],
        error=body.get("error"),
        body=body,
    )


def result_from(body: dict[str, Any]) -> Result:
    files = tuple(ResultFile(url=image["url"], file_name=image["file_name"]) for image in body["images"])
    return Result(files=files, seed=body["seed"], body=body)


def health_from(body: dict[str, Any]) -> Health:
    return Health(
        is_ready=body["status"] == "ready",
        version=body.get("version", ""),
        checks=body["checks"],
        workers=tuple(body.get("workers", ())),
        notes=tuple(body.get("notes", ())),
    )
