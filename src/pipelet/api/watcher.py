"""Looks at the requests that streams are open for, at all of them at once, and wakes the streams whose request changed.

The store says when anything changed; one look then reads what tells the watched requests from what they were, those
that changed, and the places of those that wait: a few queries, however many streams there are. Without streams there is
nothing to look at, and nobody listens.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import structlog

from pipelet.api.estimates import Estimates
from pipelet.api.recent import Recent
from pipelet.api.sight import Sight, why_it_waits
from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import PipeletError
from pipelet.domain.estimate import Ahead
from pipelet.domain.job import Job, State, Version
from pipelet.domain.keys import ApiKey
from pipelet.domain.ports import Clock, JobStore

T = TypeVar("T")
V = TypeVar("V")

log = structlog.get_logger()

_BY_ITSELF = 1.0
"""Seconds after which the watcher looks although nobody called: calls are hints."""
_MAX_BACKOFF = 5.0
"""Seconds between two looks at most, while the store refuses."""
_PAUSE = 0.1
"""Seconds between two looks at least."""
_PAUSE_PER_NEWS = 0.0002
"""Telling one stream costs about 0.1 ms: with more than some hundreds of them, half of the time is left for others."""
_PAUSE_PER_LOOK = 4.0
"""Seconds for each that the look took: all looks together take a fifth of the time at most."""
_KEYS_PAUSE = 0.25
"""Seconds between two looks at which keys are refused, at least."""
_REVOKED_WITHIN = 60.0
"""Seconds. Keys that were revoked before that were refused when their streams were opened."""
_AT_ONCE = 500
"""Requests in one query. Reads from SQLite hold everybody else up, for some 5 ms with so many."""


class Watch:
    """One stream's view of its request.

    Attributes:
        sight: the newest there is.
        lines: how long the request's log is, or -1 where that is not known yet.
        is_there: False once the request has been deleted.
        is_admitted: False once `key` has been revoked, or has expired.
        news: set whenever one of these has changed, and when the streams are to end. Whoever waits clears it.
    """

    __slots__ = ("is_admitted", "is_there", "key", "lines", "news", "sight")

    def __init__(self, sight: Sight, key: ApiKey) -> None:
        self.sight = sight
        self.key = key
        self.is_admitted = True
        self.lines = -1
        self.is_there = True
        self.news = asyncio.Event()


class _Watched:
    """A request that somebody watches."""

    __slots__ = ("sight", "version", "watches")

    def __init__(self, sight: Sight) -> None:
        self.sight = sight
        self.version: Version | None = None
        """None where a watch has joined that knows nothing of it."""
        self.watches: set[Watch] = set()

    def tell(self, sight: Sight, version: Version) -> int:
        """Answers to how many that was news."""
        before, self.sight = self.sight, sight
        if version == self.version and _place(before) == _place(sight):
            return 0
        self.version = version
        for watch in self.watches:
            watch.sight, watch.lines = sight, version.lines
            watch.news.set()
        return len(self.watches)

    def tell_end(self) -> int:
        for watch in self.watches:
            watch.is_there = False
            watch.news.set()
        return len(self.watches)


class Watcher:
    """One for all streams of a process."""

    def __init__(
        self, store: JobStore, estimates: Estimates, paused: Recent[Mapping[str, float]], clock: Clock
    ) -> None:
        self._store = store
        self._clock = clock
        self._keys_asked_at = 0.0
        self._estimates = estimates
        self._paused = paused
        self._watched: dict[str, _Watched] = {}
        self._call = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._backoff = Backoff(initial=_BY_ITSELF, maximum=_MAX_BACKOFF)
        self._throttle = LogThrottle()
        self.is_closed = False
        """The streams are to end, and no new ones to begin."""

    def close(self) -> None:
        self.is_closed = True
        for watched in self._watched.values():
            for watch in watched.watches:
                watch.news.set()

    @contextlib.contextmanager
    def watch(self, sight: Sight, key: ApiKey) -> Iterator[Watch]:
        """`sight` is what the caller has seen with `key`; what is seen from now on comes with the watch."""
        watch, job_id = Watch(sight, key), sight.job.id
        watched = self._watched.setdefault(job_id, _Watched(sight))
        watched.watches.add(watch)
        watched.version = None
        self._call.set()
        if self.is_closed:
            watch.news.set()
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._run())
            self._watching.add_done_callback(self._ended)
        try:
            yield watch
        finally:
            watched.watches.discard(watch)
            if not watched.watches:
                del self._watched[job_id]
            if not self._watched:
                self._call.set()

    def _ended(self, watching: "asyncio.Task[None]") -> None:
        """Where a defect ended it, nobody would ever hear again: the streams break off, and their clients come anew."""
        if not watching.cancelled() and watching.exception() is not None:
            for watched in self._watched.values():
                watched.tell_end()
            watching.result()

    async def _run(self) -> None:
        """As long as there is anything to watch."""
        while self._watched:
            async with self._store.changes() as self._call:
                while self._watched:
                    self._call.clear()
                    await asyncio.sleep(await self._turn())
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_BY_ITSELF):
                            await self._call.wait()

    async def _turn(self) -> float:
        """One look; answers how many seconds the next one has to wait."""
        began = time.perf_counter()
        try:
            await self._refuse_keys()
            news = await self._look()
        except PipeletError as error:  # the streams stay open, and hear when it is over
            self._throttle.write(log.warning, "streams.blind", requests=len(self._watched), reason=str(error))
            return self._backoff.next()
        self._backoff.reset()
        return max(_PAUSE, _PAUSE_PER_NEWS * news, _PAUSE_PER_LOOK * (time.perf_counter() - began))

    async def _refuse_keys(self) -> None:
        """One query for all."""
        if time.monotonic() - self._keys_asked_at < _KEYS_PAUSE:
            return
        now, self._keys_asked_at = self._clock.now(), time.monotonic()
        revoked = await self._store.revoked_keys(now - _REVOKED_WITHIN)
        for watched in self._watched.values():
            for watch in watched.watches:
                if watch.key.id in revoked or watch.key.refusal(now):
                    watch.is_admitted = False
                    watch.news.set()

    async def _look(self) -> int:
        """Answers to how many streams it brought news."""
        watched = dict(self._watched)  # who joins meanwhile calls for the next look
        versions = await _merged(self._store.versions, list(watched))
        changed = [job_id for job_id, version in versions.items() if watched[job_id].version != version]
        jobs = {job_id: watched[job_id].sight.job for job_id in versions}
        jobs |= await _merged(self._store.get_many, changed)
        waiting = [job for job in jobs.values() if job.state is State.QUEUED]
        ahead = await self._ahead(waiting)
        why = await self._why_they_wait(waiting)
        news = sum(watched[job_id].tell_end() for job_id in watched.keys() - versions.keys())
        for job_id, job in jobs.items():
            if job.state is State.QUEUED and job_id not in ahead:
                continue  # it has begun meanwhile: that is for the next look
            news += watched[job_id].tell(Sight(job, ahead.get(job_id), why.get(job_id, "")), versions[job_id])
        return news

    async def _ahead(self, jobs: Sequence[Job]) -> dict[str, Ahead]:
        groups: defaultdict[tuple[str, ...], list[Job]] = defaultdict(list)
        # Neighbours in one query: they share most of what is counted.
        for job in sorted(jobs, key=lambda job: (job.priority, job.seq)):
            groups[self._estimates.sharing(job.app)].append(job)
        found: dict[str, Ahead] = {}
        for apps, group in groups.items():
            found |= await _merged(partial(self._store.ahead_of_many, apps=apps), group)
        return found

    async def _why_they_wait(self, jobs: Sequence[Job]) -> dict[str, str]:
        """By id. Of those of one key that want as many images, one is asked for."""
        known: dict[tuple[str, str | None, int], str] = {}
        why: dict[str, str] = {}
        for job in jobs:
            alike = (job.app, job.key_id, job.spec.batch_size) if job.is_limited else (job.app, None, 0)
            if alike not in known:
                known[alike] = await why_it_waits(job, self._store, self._paused, self._estimates)
            why[job.id] = known[alike]
        return why


def _place(sight: Sight) -> tuple[int, str]:
    """What may change about a request though nothing happens to it."""
    return sight.position, sight.why_it_waits


async def _merged(ask: Callable[[Sequence[T]], Awaitable[dict[str, V]]], values: Sequence[T]) -> dict[str, V]:
    """The answers of one query, or of several where it would be a long one: others get their turn in between."""
    found: dict[str, V] = {}
    for begin in range(0, len(values), _AT_ONCE):
        found |= await ask(values[begin : begin + _AT_ONCE])
        await asyncio.sleep(0)
    return found
