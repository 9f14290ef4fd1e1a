"""What the client returns, parsed from responses of the service, and the errors that it raises."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelet.domain.errors import PipeletError
from pipelet.domain.jobs.progress import Progress

_PROGRESS = re.compile(r"Progress: (\d+)/(\d+) ")


class ClientError(PipeletError):
    """With the message of the service, if it sent one."""


class ServiceUnavailable(ClientError):
    """No Pipelet server, not ready, or behind a broken proxy or certificate."""


class Unreachable(ServiceUnavailable):
    """No server accepts connections at the address."""


class AuthenticationError(ClientError):
    pass


class RequestNotFound(ClientError):
    """The id is unknown, or the request belongs to another user."""


class ValidationError(ClientError):
    """The request was rejected."""


class NotCancellable(ClientError):
    """The request is running or has ended."""

    is_running = False
    """Whether the request is running: `cancel` with `running=True` stops it."""


class Conflict(ClientError):
    """The state of the request rules the action out, or a filter finds another number of requests than expected."""

    count: int | None = None
    """Number of requests that the filter finds."""


class NotReady(ClientError):
    """There is no result yet."""


class RequestFailed(ClientError):
    """The request ended without images."""

    def __init__(self, message: str, error_type: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        """Machine-readable reason, such as `client_cancelled` or `out_of_memory`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    request_id: str
    queue_position: int
    """Number of requests that start before this one."""
    body: Mapping[str, Any]
    """The whole response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    id: str
    url: str
    """For `image_urls` of your requests, until it expires."""
    expires_at: str
    """ISO 8601, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    request_id: str
    status: str
    """`IN_QUEUE`, `IN_PROGRESS` or `COMPLETED`; failed and cancelled requests are completed."""
    queue_position: int
    message: str
    """Text for people: requests ahead, tasks done, or why it failed."""
    estimated_total_seconds: int | None
    """Seconds from submit to result; None while the app is paused or no worker serves it."""
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
    """URL that works without a key, for a limited time."""
    file_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    files: tuple[ResultFile, ...]
    seed: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPage:
    items: tuple[Mapping[str, Any], ...]
    """Requests, newest first, as `GET /api/v1/requests` describes them."""
    next: str | None
    """`after` of the following page; None on the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResult:
    done: int
    skipped: int
    """Requests that the action does not fit, such as running ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    is_ready: bool
    version: str
    checks: Mapping[str, str]
    """By component: `ok`, `unavailable` or, with a key, the reason."""
    workers: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
