"""Previews of running requests: one poll of the store for all who watch in this process, and none while no client does.

What a client watches is asked for again and again until it ends, for some seconds each time: a client that has gone is
forgotten by itself.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.cancel import raise_if_cancelled, wait_for_event
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.concurrency.on_demand import OnDemandTask
from pipelet.domain.errors import PipeletError
from pipelet.domain.generation.preview import INTERVAL, WATCH_SECONDS, Preview
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.previews import PreviewState
from pipelet.domain.ports.store import Store
from pipelet.services.requests.status import read_in_chunks

log = structlog.get_logger()

_INTERVAL = 0.25
"""Seconds between polls. A new preview gives no signal: those who watch are few."""
_MIN_INTERVAL = 0.05
"""Seconds between polls if watchers join."""
_INTERVAL_PER_POLL_SECOND = 4.0
"""Seconds for each second that the poll took, so that polls take a fifth of the time at most."""
_MAX_BACKOFF = 5.0


@dataclass(slots=True, eq=False)
class PreviewSubscription:
    """One subscriber. It waits for `updated`, clears it, and takes the previews."""

    user: str
    updated: asyncio.Event
    pending: dict[str, Preview] = field(default_factory=dict)
    """The newest previews by request, unless they have been taken."""

    def take(self) -> dict[str, Preview]:
        taken, self.pending = self.pending, {}
        return taken


@dataclass(slots=True, eq=False)
class _Topic:
    """A request that is watched."""

    subscriptions: set[PreviewSubscription] = field(default_factory=set)
    version: tuple[float, int, int] | None = None
    """Version of the newest preview that subscribers have got."""
    next_at: float = 0.0
    """When they may get the next one, by the monotonic clock."""

    def is_of(self, user: str) -> bool:
        return any(each.user == user for each in self.subscriptions)


class PreviewFeed:
    """The feed of one process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._topics: dict[str, _Topic] = {}
        self._watcher_joined = asyncio.Event()
        self._polling = OnDemandTask(self._run, on_crash=lambda: None)
        self._backoff = Backoff(initial=_INTERVAL, maximum=_MAX_BACKOFF)
        self._throttle = LogThrottle()

    @contextlib.contextmanager
    def watch(self, ids: Sequence[str], user: str, updated: asyncio.Event) -> Iterator[PreviewSubscription]:
        """Subscribe to the previews of the requests of these ids that belong to `user`, now or later.

        Args:
            updated: set when there is a preview to take.
        """
        subscription, watched = PreviewSubscription(user, updated), set(ids)
        for job_id in watched:
            topic = self._topics.setdefault(job_id, _Topic())
            topic.subscriptions.add(subscription)
            topic.version = None  # the newcomer gets the newest one at once
        self._watcher_joined.set()
        self._polling.start()
        try:
            yield subscription
        finally:
            for job_id in watched:
                topic = self._topics[job_id]
                topic.subscriptions.discard(subscription)
                if not topic.subscriptions:
                    del self._topics[job_id]

    async def read(self, job: Job) -> Preview | None:
        """Return the newest preview of a job, and have its worker make more for some seconds; None if there is none."""
        if job.state.is_final:
            return None
        states = await self._store.previews.states([job.id])
        await self._ask(states)
        return (await self._store.previews.newest([job.id])).get(job.id)

    async def _run(self) -> None:
        """Poll while there are subscribers."""
        while self._topics:
            self._watcher_joined.clear()
            seconds = await self._poll_once()
            await asyncio.sleep(_MIN_INTERVAL)
            await wait_for_event(self._watcher_joined, seconds=seconds - _MIN_INTERVAL)

    async def _poll_once(self) -> float:
        """Poll, and return the seconds until the next poll."""
        began = time.monotonic()
        try:
            await self._poll()
        except PipeletError as error:  # the streams stay open and get the next preview
            self._throttle.write(log.warning, "previews.poll_failed", requests=len(self._topics), reason=str(error))
            raise_if_cancelled()
            return self._backoff.next()
        self._backoff.reset()
        return max(_INTERVAL, _INTERVAL_PER_POLL_SECOND * (time.monotonic() - began))

    async def _poll(self) -> None:
        topics = dict(self._topics)  # a subscriber that joins now is part of the next poll
        found = await read_in_chunks(self._store.previews.states, list(topics))
        states = {job_id: state for job_id, state in found.items() if topics[job_id].is_of(state.user)}
        await self._ask(states)
        now = time.monotonic()
        due = [
            job_id
            for job_id, state in states.items()
            if state.version not in (None, topics[job_id].version) and topics[job_id].next_at <= now
        ]
        for job_id, preview in (await read_in_chunks(self._store.previews.newest, due)).items():
            topic = topics[job_id]
            topic.version, topic.next_at = states[job_id].version, now + INTERVAL
            for each in topic.subscriptions:
                if each.user == states[job_id].user:
                    each.pending[job_id] = preview
                    each.updated.set()

    async def _ask(self, states: dict[str, PreviewState]) -> None:
        """Ask for previews, where no client has asked yet, or only for a few seconds more."""
        now = self._store.clock.now()
        left = {job_id: (state.wanted_until or 0.0) - now for job_id, state in states.items()}
        new = [job_id for job_id, seconds in left.items() if seconds <= 0]
        lapsing = [job_id for job_id, seconds in left.items() if 0 < seconds < WATCH_SECONDS / 2]
        if new or lapsing:
            run = any(states[job_id].is_running for job_id in new)
            await self._store.previews.watch([*new, *lapsing], now + WATCH_SECONDS, notify=run)
