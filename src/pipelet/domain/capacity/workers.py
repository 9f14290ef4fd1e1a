"""Who is there to do the work."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHeartbeat:
    """What a worker says of itself with every heartbeat."""

    name: str
    """Unique among live workers: it belongs to one process at a time, see `incarnation`."""
    model: str
    """The model that it generates with: the same for all live workers of an app."""
    profile: str
    """Model and device: workers of one kind are equally fast, so the estimate learns per kind."""
    apps: tuple[str, ...]
    version: str
    ready: bool
    """Its model is loaded."""
    problem: str | None
    """Why it is not ready, for the operator."""
    seen_at: float
    expires_at: float
    """Without another report by then it counts as gone."""
    incarnation: str
    """Random token of the process, which tells two of one name apart. Empty in reports of earlier versions."""
    draining: bool = False
    """An operator wants it to end: see `Store.drain_worker`. The store's word; a report does not change it."""

    def serves(self, app: str) -> bool:
        """Whether it will begin requests of `app`, now or once its model is loaded."""
        return app in self.apps and self.problem is None and not self.draining


class HeartbeatReply(StrEnum):
    """What a worker learns when it reports."""

    CONTINUE = "go_on"
    DRAIN = "drain"
    """An operator wants it to end."""
    NAME_TAKEN = "name_taken"
    """Another process was heard of under this name a moment ago; nothing was noted."""
