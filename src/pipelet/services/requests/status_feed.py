"""Status feed: one poll of the store for all subscribers, which are woken when their request changes.

The store signals that something changed; one poll then reads the revisions of all watched requests, the requests that
changed, and the queue positions of those that wait: a few queries for any number of subscribers. Without subscribers,
the feed neither polls nor listens.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.cancel import raise_if_cancelled, wait_for_event
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.concurrency.on_demand import OnDemandTask
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import PipeletError
from pipelet.domain.jobs.job import JobRevision
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.revocations import Revocations
from pipelet.services.requests.status import JobStatus, StatusReader, read_in_chunks

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

    def refuse(self) -> None:
        self.is_admitted = False
        self.updated.set()


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

    def __init__(self, store: Store, statuses: StatusReader) -> None:
        self._store = store
        self._statuses = statuses
        self._revocations = Revocations(store)
        self._topics: dict[str, _Topic] = {}
        self._wake_up = asyncio.Event()
        self._polling = OnDemandTask(self._run, on_crash=self._end_streams)
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
        self._polling.start()
        try:
            yield subscription
        finally:
            topic.subscriptions.discard(subscription)
            if not topic.subscriptions:
                del self._topics[job_id]
            if not self._topics:
                self._wake_up.set()

    def _end_streams(self) -> None:
        """End all streams after a crash, so that their clients reconnect."""
        for topic in self._topics.values():
            topic.publish_deleted()

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
            await self._revocations.apply(each for topic in self._topics.values() for each in topic.subscriptions)
            updated = await self._poll()
        except PipeletError as error:  # the streams stay open and get the next update
            self._throttle.write(log.warning, "status_feed.poll_failed", requests=len(self._topics), reason=str(error))
            raise_if_cancelled()
            return self._backoff.next()
        self._backoff.reset()
        return max(
            _MIN_INTERVAL, _INTERVAL_PER_UPDATE * updated, _INTERVAL_PER_POLL_SECOND * (time.perf_counter() - began)
        )

    async def _poll(self) -> int:
        """Read what changed and publish it. Returns the number of updated subscribers."""
        topics = dict(self._topics)  # a subscriber that joins now is part of the next poll
        revisions = await read_in_chunks(self._store.jobs.revisions, list(topics))
        changed = [job_id for job_id, revision in revisions.items() if topics[job_id].revision != revision]
        jobs = {job_id: topics[job_id].job_status.job for job_id in revisions}
        jobs |= await read_in_chunks(self._store.jobs.get_many, changed)
        # What has just started is left out; the next poll reads it.
        statuses = await self._statuses.load_many(list(jobs.values()))
        updated = sum(topics[job_id].publish_deleted() for job_id in topics.keys() - revisions.keys())
        for job_id, status in statuses.items():
            updated += topics[job_id].publish(status, revisions[job_id])
        return updated


def _queue_place(job_status: JobStatus) -> tuple[int, str]:
    """The part of a status that other requests change."""
    return job_status.position, job_status.wait_reason
