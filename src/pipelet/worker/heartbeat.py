"""Registers a worker under its name, sends its heartbeats, and receives the signal to drain."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from pipelet.concurrency.cancel import wait_for_event
from pipelet.concurrency.periodic import run_periodically
from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.domain.errors import OperationalError, PipeletError, StoreError
from pipelet.domain.ids import new_token
from pipelet.domain.ports.store import Store
from pipelet.worker.config import WorkerConfig

log = structlog.get_logger()

LOADING = "The model is loading."
NAME_HINT = "Give each worker its own --name, or none: the default is the host's name with random letters."
_RETRY_SECONDS = 0.1


@dataclass(kw_only=True, eq=False)
class Heartbeat:
    config: WorkerConfig
    store: Store
    on_drain: Callable[[], None]
    """Called when an operator has the worker drained."""
    on_continue: Callable[[], None]
    """Called with every other heartbeat."""
    on_name_lost: Callable[[], None]
    """Called when another worker has taken the name."""

    def __post_init__(self) -> None:
        self.profile = self.config.model.name
        """Model and device: the costs of jobs are learned per profile."""
        self.name_lost = False
        self._interval = self.config.lease_seconds / 4
        self._incarnation = new_token()
        self._problem: str | None = LOADING
        self._send_now = asyncio.Event()

    def set_problem(self, problem: str | None) -> None:
        """Report a problem, or that there is none, at once. A worker with a problem is not counted as capacity."""
        self._problem = problem
        self._send_now.set()

    async def register(self) -> bool:
        """Send heartbeats until the name is ours; returns True.

        A killed worker looks alive until its last heartbeat expires. Its replacement waits for that, a lease at most;
        a worker that does live sends another heartbeat earlier.

        Raises:
            OperationalError: a live worker has the name.
        """
        seen: WorkerHeartbeat | None = None
        give_up_at = 0.0
        while await self.store.workers.heartbeat(mine := self._payload()) is HeartbeatReply.NAME_TAKEN:
            live = await self.store.workers.live(mine.seen_at)
            other = next((worker for worker in live if worker.name == mine.name), None)
            if other is None:  # its heartbeat has just expired
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            now = asyncio.get_running_loop().time()
            if seen is None:
                seen, give_up_at = other, now + other.expires_at - other.seen_at
                log.warning("worker.name_wait", at_most_seconds=round(give_up_at - now, 1))
            if (other.incarnation, other.seen_at) != (seen.incarnation, seen.seen_at):
                raise OperationalError(f"Another worker named {mine.name} is running ({other.profile}). {NAME_HINT}")
            if now > give_up_at:  # the database clock has been set back
                await self.store.workers.deregister(other.name, other.incarnation)
            await asyncio.sleep(self._interval / 2)
        return True

    async def run(self) -> None:
        await run_periodically(
            0, self._send_and_wait, name="worker_report", expected=PipeletError, max_backoff=self._interval
        )

    async def deregister(self) -> None:
        try:
            await self.store.workers.deregister(self.config.name, self._incarnation)
        except StoreError as error:  # the last heartbeat expires
            log.warning("worker.deregister_failed", reason=str(error))

    async def _send_and_wait(self) -> None:
        """Send a heartbeat, and return when the next is due, or at once when there is something to report."""
        self._send_now.clear()
        match await self.store.workers.heartbeat(self._payload()):
            case HeartbeatReply.DRAIN:
                self.on_drain()
            case HeartbeatReply.CONTINUE:
                self.on_continue()
            case HeartbeatReply.NAME_TAKEN if not self.name_lost:
                log.error("worker.name_conflict")
                self.name_lost = True  # running attempts belong to this worker by their leases, and are finished
                self.on_name_lost()
        await wait_for_event(self._send_now, seconds=self._interval)

    def _payload(self) -> WorkerHeartbeat:
        now = self.store.clock.now()
        return WorkerHeartbeat(
            name=self.config.name,
            model=self.config.model.name,
            profile=self.profile,
            apps=self.config.apps,
            version=self.config.version,
            ready=self._problem is None,
            problem=self._problem,
            seen_at=now,
            expires_at=now + self.config.lease_seconds,
            incarnation=self._incarnation,
        )
