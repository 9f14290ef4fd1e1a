"""What the handlers work with, and how they find it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import httpx2
from starlette.requests import Request

from pipelet.api.auth import Doorkeeper
from pipelet.api.body import Bodies
from pipelet.api.estimates import Estimates
from pipelet.api.input_model import InputModel
from pipelet.api.metrics import Metrics
from pipelet.api.recent import Recent
from pipelet.api.watcher import Watcher
from pipelet.domain.catalog import Catalog
from pipelet.domain.ports import BlobStore, Clock, JobStore

if TYPE_CHECKING:
    from pipelet.api.references import References

MayCall = Callable[[IPv4Address | IPv6Address], bool]
"""Whether webhooks may go to an address."""


class LocalFiles(Protocol):
    """Files on our own disk that are fetched from us, under URLs we signed."""

    def verify(self, key: str, expires: str, signature: str, *, now: float) -> Path:
        """The file behind a URL.

        Raises:
            KeyRefused: the signature is not ours, or it has expired.
            NotFound: the file is gone.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetchers:
    """Clients for URLs that users send."""

    strangers: httpx2.AsyncClient
    """Raises AddressRefused for what is neither public nor allowed."""
    storage: httpx2.AsyncClient
    """For URLs of our own bucket, wherever that is."""


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
    references: "References"
    doorkeeper: Doorkeeper
    estimates: Estimates
    metrics: Metrics
    paused: Recent[Mapping[str, float]]
    """Apps of which nothing begins right now, and since when."""
    may_call: MayCall
    webhook_keys: Recent[Mapping[str, Any]]
    """The published ones."""
    blobs_trouble: Recent[str | None]
    """Why no file could be stored a moment ago, or None."""
    watcher: Watcher
    pace: Pace


def parts_of(request: Request) -> Parts:
    return cast(Parts, request.scope["app"].state.parts)
