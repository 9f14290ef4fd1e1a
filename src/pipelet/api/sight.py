"""A request as its status sees it: the job itself, and what the queue around it means for it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelet.api.estimates import Estimates
from pipelet.api.recent import Recent
from pipelet.domain.estimate import Ahead
from pipelet.domain.job import Job, State
from pipelet.domain.ports import JobStore

WIRE_STATES = {
    State.QUEUED: "IN_QUEUE",
    State.RUNNING: "IN_PROGRESS",
    State.SUCCEEDED: "COMPLETED",
    State.FAILED: "COMPLETED",
    State.CANCELLED: "COMPLETED",
}
_PAUSED = ". The operator has paused this app; requests wait until it is resumed"
_UNSERVED = ". No worker serves this app at present; requests wait until one does"
_HELD_BACK = ". The key runs as many images as it may; this begins when enough of them are done"


@dataclass(frozen=True, slots=True)
class Sight:
    job: Job
    ahead: Ahead | None = None
    """None unless it waits."""
    why_it_waits: str = ""
    """Beside those ahead of it; empty where they are all."""

    @property
    def status(self) -> str:
        return WIRE_STATES[self.job.state]

    @property
    def has_no_outlook(self) -> bool:
        """Whether it waits for something that may happen at any time, or never."""
        return self.why_it_waits in (_PAUSED, _UNSERVED)

    @property
    def position(self) -> int:
        return self.ahead.requests if self.ahead else 0


async def why_it_waits(job: Job, store: JobStore, paused: Recent[Mapping[str, float]], estimates: Estimates) -> str:
    if job.app in await paused.get():
        return _PAUSED
    if not await estimates.is_served(job.app):
        return _UNSERVED
    return _HELD_BACK if await store.is_held_back(job) else ""
