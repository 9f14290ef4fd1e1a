"""Shapes of requests in `/api/v1`."""

from typing import Literal

from pipelet.api.v1.schemas import Output

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class RequestItem(Output):
    """A request in a list."""

    id: str
    app: str
    user: str
    state: State
    submitted_at: str
    started_at: str | None
    finished_at: str | None


class RequestDetail(RequestItem):
    """A request with all that is known of it."""
