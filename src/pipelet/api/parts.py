"""What the handlers work with, and how they find it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.requests import Request

from pipelet.api.auth import Doorkeeper
from pipelet.api.body import Bodies
from pipelet.api.estimates import Estimates
from pipelet.api.held import Held
from pipelet.api.input_model import InputModel
from pipelet.api.local_files import LocalFiles
from pipelet.api.metrics import Metrics
from pipelet.api.recent import Recent
from pipelet.api.references import References
from pipelet.api.watcher import Watcher
from pipelet.api.webhook_target import MayCall
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.catalog import Catalog
from pipelet.domain.ports import BlobStore, Clock, JobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Of streams, in seconds."""

    silence: float = 15.0
    """Without an event until a comment is sent: proxies close what is silent."""
    patience: float = 60.0
    """How long a client may leave what was sent unread, once its buffers are full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    store: JobStore
    blobs: BlobStore
    catalog: Catalog
    clock: Clock
    public_url: str | None
    """Without a trailing slash; None takes each request's own scheme and host."""
    local_files: LocalFiles | None
    version: str
    input_models: dict[str, InputModel]
    """By served app."""
    bodies: Bodies
    references: References
    doorkeeper: Doorkeeper
    estimates: Estimates
    metrics: Metrics
    paused: Recent[Mapping[str, float]]
    """Apps of which nothing begins right now, and since when."""
    may_call: MayCall
    webhook_keys: Recent[Mapping[str, Any]]
    """The published ones."""
    store_trouble: Recent[str | None]
    """Why the queue could not be read or written a moment ago, or None."""
    blobs_trouble: Recent[str | None]
    """Why no file could be stored a moment ago, or None."""
    throttle: LogThrottle
    """For what every request may meet, such as a store that is away."""
    watcher: Watcher
    held: Held
    pace: Pace


def parts_of(request: Request) -> Parts:
    return cast(Parts, request.scope["app"].state.parts)
