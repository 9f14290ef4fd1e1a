"""Status feed: one poll of the store for all subscribers, which are woken when their request changes.

The store signals that something changed; one poll then reads the revisions of all watched requests, the requests that
changed, and the queue positions of those that wait: a few queries for any number of subscribers. Without subscribers,
the feed neither polls nor listens.
"""

import asyncio
import contextlib
import contextvars
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.cancel import raise_if_cancelled, wait_for_event
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.capacity.cost_model import WorkAhead
from pipelet.domain.errors import PipeletError
from pipelet.domain.jobs.job import Job, JobRevision, JobState
from pipelet.domain.ports.store import Store
from pipelet.services.queue.estimates import Estimates
from pipelet.services.requests.status import JobStatus, StatusReader

T = TypeVar("T")
V = TypeVar("V")

log = structlog.get_logger()

_MAX_INTERVAL = 1.0
"""Seconds after which the feed polls without a signal: signals are hints and may be lost."""
_MAX_BACKOFF = 5.0
"""Maximum seconds between two polls while the store fails."""
_MIN_INTERVAL = 0.1
"""Minimum seconds between two polls."""
_INTERVAL_PER_UPDATE = 0.0002
"""Seconds for each updated subscriber. One update costs about 0.1 ms: with hundreds of subscribers, half of the time
stays free for other requests."""
_INTERVAL_PER_POLL_SECOND = 4.0
"""Seconds for each second that the poll took, so that polls take a fifth of the time at most."""
_KEYS_POLL_INTERVAL = 0.25
"""Minimum seconds between two reads of revoked keys."""
_REVOKED_WINDOW = 60.0
"""Seconds. Keys revoked earlier than that were refused when the stream was opened."""
_CHUNK_SIZE = 500
"""Requests in one query. A read from SQLite blocks other work, for some 5 ms with this many."""


@dataclass(slots=True, eq=False)
class Subscription:
    """One subscriber's view of its request."""

    job_status: JobStatus
    """The newest status."""
    key: ApiKey
    lines: int = -1
    """Number of lines in the request's log, or -1 if not known yet."""
    exists: bool = True
    """False once the request has been deleted."""
    is_admitted: bool = True
    """False once `key` has been revoked or has expired."""
    updated: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when any of these has changed, and when the feed closes. The subscriber clears it."""


@dataclass(slots=True, eq=False)
class _Topic:
    """A request with subscribers."""

    job_status: JobStatus
    revision: JobRevision | None = None
    """None if a subscriber has joined since the last poll."""
    subscriptions: set[Subscription] = field(default_factory=set)

    def publish(self, job_status: JobStatus, revision: JobRevision) -> int:
        """Update the subscribers if anything changed. Returns how many were updated."""
        before, self.job_status = self.job_status, job_status
        if revision == self.revision and _queue_place(before) == _queue_place(job_status):
            return 0
        self.revision = revision
        for subscription in self.subscriptions:
            subscription.job_status, subscription.lines = job_status, revision.lines
            subscription.updated.set()
        return len(self.subscriptions)

    def publish_deleted(self) -> int:
        for subscription in self.subscriptions:
            subscription.exists = False
            subscription.updated.set()
        return len(self.subscriptions)


class StatusFeed:
    """The feed of one process."""

    def __init__(self, store: Store, statuses: StatusReader, estimates: Estimates) -> None:
        self._store = store
        self._statuses = statuses
        self._estimates = estimates
        self._keys_polled_at = 0.0
        self._topics: dict[str, _Topic] = {}
        self._wake_up = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None
        self._backoff = Backoff(initial=_MAX_INTERVAL, maximum=_MAX_BACKOFF)
        self._throttle = LogThrottle()
        self.is_closed = False
        """True: open streams end, and no new ones start."""

    def close(self) -> None:
        self.is_closed = True
        for topic in self._topics.values():
            for subscription in topic.subscriptions:
                subscription.updated.set()

    @contextlib.contextmanager
    def watch(self, job_status: JobStatus, key: ApiKey) -> Iterator[Subscription]:
        """Subscribe to a request. `job_status` is what the caller has read with `key`."""
        subscription, job_id = Subscription(job_status, key), job_status.job.id
        topic = self._topics.setdefault(job_id, _Topic(job_status))
        topic.subscriptions.add(subscription)
        topic.revision = None
        self._wake_up.set()
        if self.is_closed:
            subscription.updated.set()
        if self._polling is None or self._polling.done():
            # In a context of its own: the feed's log lines are not about the request of its first subscriber.
            self._polling = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())
            self._polling.add_done_callback(self._on_crash)
        try:
            yield subscription
        finally:
            topic.subscriptions.discard(subscription)
            if not topic.subscriptions:
                del self._topics[job_id]
            if not self._topics:
                self._wake_up.set()

    def _on_crash(self, polling: "asyncio.Task[None]") -> None:
        """If the loop crashed, end all streams, so that their clients reconnect."""
        if not polling.cancelled() and polling.exception() is not None:
            for topic in self._topics.values():
                topic.publish_deleted()
            polling.result()

    async def _run(self) -> None:
        """Poll while there are subscribers."""
        while self._topics:
            async with self._store.subscribe_changes() as self._wake_up:
                while self._topics:
                    self._wake_up.clear()
                    await asyncio.sleep(await self._poll_once())
                    await wait_for_event(self._wake_up, seconds=_MAX_INTERVAL)

    async def _poll_once(self) -> float:
        """Poll, and return the seconds until the next poll may start."""
        began = time.perf_counter()
        try:
            await self._revoke_subscriptions()
            updated = await self._poll()
        except PipeletError as error:  # the streams stay open and get the next update
            self._throttle.write(log.warning, "status_feed.poll_failed", requests=len(self._topics), reason=str(error))
            raise_if_cancelled()
            return self._backoff.next()
        self._backoff.reset()
        return max(
            _MIN_INTERVAL, _INTERVAL_PER_UPDATE * updated, _INTERVAL_PER_POLL_SECOND * (time.perf_counter() - began)
        )

    async def _revoke_subscriptions(self) -> None:
        """Mark the subscriptions whose key is no longer valid; one query for all."""
        if time.monotonic() - self._keys_polled_at < _KEYS_POLL_INTERVAL:
            return
        now, self._keys_polled_at = self._store.clock.now(), time.monotonic()
        revoked = await self._store.api_keys.revoked_since(now - _REVOKED_WINDOW)
        for topic in self._topics.values():
            for subscription in topic.subscriptions:
                if subscription.key.id in revoked or subscription.key.invalid_reason(now):
                    subscription.is_admitted = False
                    subscription.updated.set()

    async def _poll(self) -> int:
        """Read what changed and publish it. Returns the number of updated subscribers."""
        topics = dict(self._topics)  # a subscriber that joins now is part of the next poll
        revisions = await _in_chunks(self._store.jobs.revisions, list(topics))
        changed = [job_id for job_id, revision in revisions.items() if topics[job_id].revision != revision]
        jobs = {job_id: topics[job_id].job_status.job for job_id in revisions}
        jobs |= await _in_chunks(self._store.jobs.get_many, changed)
        waiting = [job for job in jobs.values() if job.state is JobState.QUEUED]
        ahead = await self._work_ahead(waiting)
        reasons = await self._wait_reasons(waiting)
        updated = sum(topics[job_id].publish_deleted() for job_id in topics.keys() - revisions.keys())
        for job_id, job in jobs.items():
            if job.state is JobState.QUEUED and job_id not in ahead:
                continue  # it has just started; the next poll reads that
            updated += topics[job_id].publish(
                JobStatus(job, ahead.get(job_id), reasons.get(job_id, "")), revisions[job_id]
            )
        return updated

    async def _work_ahead(self, jobs: Sequence[Job]) -> dict[str, WorkAhead]:
        groups: defaultdict[tuple[str, ...], list[Job]] = defaultdict(list)
        # Jobs that are close in the queue go into one query: most of what they count is the same.
        for job in sorted(jobs, key=lambda job: (job.priority, job.seq)):
            groups[self._estimates.apps_sharing_workers(job.app)].append(job)
        found: dict[str, WorkAhead] = {}
        for apps, group in groups.items():
            found |= await _in_chunks(partial(self._store.queue.work_ahead_many, apps=apps), group)
        return found

    async def _wait_reasons(self, jobs: Sequence[Job]) -> dict[str, str]:
        """Wait reasons by job id. Limited jobs with the same app, key and batch size share one lookup."""
        known: dict[tuple[str, str | None, int], str] = {}
        reasons: dict[str, str] = {}
        for job in jobs:
            alike = (job.app, job.key_id, job.spec.batch_size) if job.is_limited else (job.app, None, 0)
            if alike not in known:
                known[alike] = await self._statuses.wait_reason(job)
            reasons[job.id] = known[alike]
        return reasons


def _queue_place(job_status: JobStatus) -> tuple[int, str]:
    """The part of a status that other requests change."""
    return job_status.position, job_status.wait_reason


async def _in_chunks(read: Callable[[Sequence[T]], Awaitable[dict[str, V]]], values: Sequence[T]) -> dict[str, V]:
    """Read in several queries if there are many values, so that other tasks run in between."""
    found: dict[str, V] = {}
    for begin in range(0, len(values), _CHUNK_SIZE):
        found |= await read(values[begin : begin + _CHUNK_SIZE])
        await asyncio.sleep(0)
    return found
