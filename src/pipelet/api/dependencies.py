"""What handlers share, and how they get it."""

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from pipelet.api.body import BodyReader
from pipelet.api.connections import ConnectionLimiter
from pipelet.api.refusals import Refusals
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.catalog import Catalog
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.store import JobStore
from pipelet.services.accounts.authentication import Authenticator
from pipelet.services.input_images.upload_tickets import UploadTickets
from pipelet.services.input_images.uploads import Uploads
from pipelet.services.requests.previews import PreviewFeed
from pipelet.services.requests.status import StatusReader
from pipelet.services.requests.status_feed import StatusFeed
from pipelet.services.requests.submit import Submits
from pipelet.services.requests.waiting import Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTimeouts:
    """Timeouts of streams, in seconds."""

    keepalive: float = 15.0
    """Seconds without an event until a comment is sent: proxies close silent connections."""
    write: float = 60.0
    """Seconds for which a client may leave data unread once its buffers are full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What the APIs share. A route that needs something else gets it when it is made."""

    jobs: JobStore
    blobs: BlobStore
    catalog: Catalog
    clock: Clock
    public_url: str | None
    """Without a trailing slash; None takes each request's own scheme and host."""
    authenticator: Authenticator
    refusals: Refusals
    bodies: BodyReader
    submits: Submits
    statuses: StatusReader
    status_feed: StatusFeed
    waiting: Waiting
    previews: PreviewFeed
    uploads: Uploads
    upload_tickets: UploadTickets
    connection_limiter: ConnectionLimiter
    stream_timeouts: StreamTimeouts
    throttle: LogThrottle
    """For lines that every request may cause, such as an unavailable store."""


def get_dependencies(request: Request) -> Dependencies:
    return cast(Dependencies, request.scope["app"].state.dependencies)
