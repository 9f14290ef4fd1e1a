"""Who is there to do the work."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker says of itself with every heartbeat."""

    name: str
    """Unique to the process: two workers never share one."""
    model: str
    """What it draws with. All live workers of an app draw with the same one."""
    kind: str
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
    draining: bool = False
    """An operator wants it to end: see `JobStore.drain_worker`. The store's word; a report does not change it."""
