"""Change feed: one poll of the store for all who watch their own requests, each of whom is told what is new.

The feed knows the requests of each watched user that run, and the newest ones. What else changes (an old request that
starts, ends or is deleted) it finds by the time of the change. Nothing is kept for a subscriber but the events that it
has not taken yet, and subscribers of one user share the bytes of an event. Without subscribers, the feed neither polls
nor listens.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.cancel import raise_if_cancelled, wait_for_event
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.concurrency.on_demand import OnDemandTask
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.accounts.scopes import DEFAULT_SCOPES
from pipelet.domain.errors import PipeletError
from pipelet.domain.jobs.job import Job, JobRevision, JobState
from pipelet.domain.ports.changes import DeletedRequest
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.access import Caller
from pipelet.services.accounts.revocations import Revocations
from pipelet.services.requests.changes import (
    AppChanged,
    Change,
    Cursor,
    Encode,
    ListChanged,
    RequestChanged,
    RequestDeleted,
    Subscription,
)
from pipelet.services.requests.lists import RequestLists
from pipelet.services.requests.status import JobStatus, StatusReader, read_in_chunks

log = structlog.get_logger()

NEWEST = 50
"""Requests of a user whose position is watched: what a list shows on its first page."""
_MAX_CHANGES = 1_000
"""Requests of each kind in one query of changes; if there are more, subscribers are told to read their list again."""
_OVERLAP = 10.0
"""Seconds that are read again: a request may become visible a moment after its time."""
_DELETION_OVERLAP = 100
"""Deletions that are read again, for the same reason."""
_MAX_RESUME = 3600.0
"""Seconds after which a stream does not continue where it was."""
_MAX_INTERVAL = 1.0
"""Seconds after which the feed polls without a signal: signals are hints and may be lost."""
_MIN_INTERVAL = 0.2
"""Minimum seconds between two polls."""
_INTERVAL_PER_EVENT = 0.0002
_INTERVAL_PER_POLL_SECOND = 4.0
"""Seconds for each second that the poll took, so that polls take a fifth of the time at most."""
_MAX_BACKOFF = 5.0
_NO_CURSOR = Cursor(0.0, 0)


@dataclass(slots=True)
class _Known:
    """A request as subscribers have been told."""

    revision: JobRevision
    job: Job
    place: tuple[int, str]
    """What other requests change: its position, and what it waits for."""
    told_at: float
    event: bytes


@dataclass(slots=True, eq=False)
class _User:
    caller: Caller
    subscriptions: set[Subscription] = field(default_factory=set)
    tracked: dict[str, _Known | None] = field(default_factory=dict)
    """Requests that may change, by id; None if they have not been read yet."""
    is_loaded: bool = False

    def forget(self, active: set[str]) -> None:
        """Forget the requests that no query of changes needs: all but the newest, and those that are active."""
        known = [each.job for each in self.tracked.values() if each is not None]
        known.sort(key=lambda job: (job.submitted_at, job.id), reverse=True)
        kept = {job.id for k, job in enumerate(known) if k < NEWEST or job.state is JobState.RUNNING} | active
        self.tracked = {job_id: each for job_id, each in self.tracked.items() if job_id in kept}


class ChangeFeed:
    """The feed of one process.

    Args:
        encode: turns a change into the bytes that subscribers send.
    """

    def __init__(self, store: Store, statuses: StatusReader, lists: RequestLists, encode: Encode) -> None:
        self._store = store
        self._statuses = statuses
        self._lists = lists
        self._encode = encode
        self._revocations = Revocations(store)
        self._users: dict[str, _User] = {}
        self._apps: dict[str, AppChanged] = {}
        self._cursor = _NO_CURSOR
        self._seen_deletions: set[int] = set()
        self._wake_up = asyncio.Event()
        self._polling = OnDemandTask(self._run, on_crash=self._end_streams)
        self._backoff = Backoff(initial=_MAX_INTERVAL, maximum=_MAX_BACKOFF)
        self._throttle = LogThrottle()
        self._is_closed = False

    def close(self) -> None:
        """End all subscriptions, and those that begin later."""
        self._is_closed = True
        self._end_streams()

    @contextlib.contextmanager
    def watch(self, key: ApiKey, cursor: Cursor | None) -> Iterator[Subscription]:
        """Subscribe to the requests of the user of `key`."""
        subscription = Subscription(key, cursor, is_open=not self._is_closed)
        # As a key without further scopes sees them, because all keys of the user share the events.
        user = self._users.setdefault(key.user, _User(Caller(replace(key, scopes=DEFAULT_SCOPES))))
        user.subscriptions.add(subscription)
        self._wake_up.set()
        if self._is_closed:
            subscription.updated.set()
        self._polling.start()
        try:
            yield subscription
        finally:
            user.subscriptions.discard(subscription)
            if not user.subscriptions and self._users.get(key.user) is user:
                del self._users[key.user]
            if not self._users:
                self._wake_up.set()

    def _subscriptions(self) -> Iterator[Subscription]:
        for user in list(self._users.values()):
            yield from list(user.subscriptions)

    def _end_streams(self) -> None:
        """End all streams, so that their clients reconnect if this is a crash."""
        for subscription in self._subscriptions():
            subscription.refuse()

    async def _run(self) -> None:
        """Poll while there are subscribers."""
        self._apps, self._cursor = {}, _NO_CURSOR
        while self._users:
            async with self._store.subscribe_changes() as self._wake_up:
                while self._users:
                    self._wake_up.clear()
                    await asyncio.sleep(await self._poll_once())
                    await wait_for_event(self._wake_up, seconds=_MAX_INTERVAL)

    async def _poll_once(self) -> float:
        """Poll, and return the seconds until the next poll may start."""
        began = time.perf_counter()
        try:
            await self._revocations.apply(self._subscriptions())
            events = await self._poll()
        except PipeletError as error:  # the streams stay open and get the next change
            self._throttle.write(log.warning, "change_feed.poll_failed", users=len(self._users), reason=str(error))
            raise_if_cancelled()
            return self._backoff.next()
        self._backoff.reset()
        took = time.perf_counter() - began
        return max(_MIN_INTERVAL, _INTERVAL_PER_EVENT * events, _INTERVAL_PER_POLL_SECOND * took)

    async def _poll(self) -> int:
        """Read what changed, and tell the subscribers. Returns the number of events that they got."""
        users, now = dict(self._users), self._store.clock.now()
        newcomers = [each for user in users.values() for each in user.subscriptions if each.is_new]
        before = self._cursor
        if before is _NO_CURSOR:
            before = Cursor(now, (await self._deletion_numbers()).stop - 1)
        since = min(before.at, now) - _OVERLAP  # the clock may have gone back
        deletions = await self._new_deletions(before.deletion)
        self._cursor = Cursor(now, max([before.deletion, *(each.number for each in deletions)]))
        active = await self._track(users, since)
        told = await self._tell_requests(users)
        told += await self._tell_apps(users)
        for deletion in deletions:
            if (user := users.get(deletion.user)) is not None:
                user.tracked.pop(deletion.id, None)
                told += self._tell(user, deletion.id, RequestDeleted(deletion.id))
        for user in users.values():
            user.is_loaded = True
            user.forget(active)
        for subscription in newcomers:
            if subscription.is_new and (user := users.get(subscription.key.user)) is not None:
                subscription.is_new = False
                told += await self._welcome(subscription, user, now)
        return told

    async def _track(self, users: dict[str, _User], since: float) -> set[str]:
        """Track the requests that run, are new or have just ended. Returns their ids."""
        for name, user in users.items():
            if not user.is_loaded:
                user.tracked |= dict.fromkeys(await self._store.changes.newest(name, NEWEST))
        found = await self._store.changes.active(list(users), since, _MAX_CHANGES)
        if len(found) >= _MAX_CHANGES:
            for user in users.values():
                self._tell(user, "", ListChanged())
        for each in found:
            users[each.user].tracked.setdefault(each.id, None)
        return {each.id for each in found}

    async def _tell_requests(self, users: dict[str, _User]) -> int:
        tracked = {job_id: user for user in users.values() for job_id in user.tracked}
        revisions = await read_in_chunks(self._store.jobs.revisions, list(tracked))
        known = {job_id: tracked[job_id].tracked[job_id] for job_id in revisions}
        changed = {job_id for job_id, each in known.items() if each is None or each.revision != revisions[job_id]}
        jobs = {job_id: each.job for job_id, each in known.items() if each is not None}
        jobs |= await read_in_chunks(self._store.jobs.get_many, list(changed))
        # What has just started is left out; the next poll reads it.
        statuses = await self._statuses.load_many(
            [job for job in jobs.values() if job.id in changed or job.state is JobState.QUEUED]
        )
        told = 0
        for job_id, status in statuses.items():
            told += await self._tell_request(tracked[job_id], status, revisions[job_id])
        return told

    async def _tell_request(self, user: _User, status: JobStatus, revision: JobRevision) -> int:
        job, place = status.job, (status.position, status.wait_reason)
        known = user.tracked.get(job.id)
        if known is not None and (known.revision, known.place) == (revision, place):
            return 0
        change = RequestChanged(await self._lists.view(user.caller, status), user.caller)
        event = self._encode(change, self._cursor)
        # What was there before the first subscriber changed at no known time: it is told to each.
        told_at = self._cursor.at if user.is_loaded else float("inf")
        user.tracked[job.id] = _Known(revision, job, place, told_at, event)
        return self._push(user.subscriptions, job.id, event) if user.is_loaded else 0

    async def _tell_apps(self, users: dict[str, _User]) -> int:
        told = 0
        for change in await self._read_apps():
            if self._apps.get(change.app) != change:
                self._apps[change.app] = change
                told += sum(self._tell(user, f"app {change.app}", change) for user in users.values())
        return told

    async def _read_apps(self) -> list[AppChanged]:
        paused, live = await self._store.queue.paused(), await self._store.workers.live(self._cursor.at)
        return [
            AppChanged(app, paused.get(app), sum(worker.serves(app) for worker in live))
            for app in sorted({*self._apps, *paused, *(app for worker in live for app in worker.apps)})
        ]

    def _tell(self, user: _User, subject: str, change: Change) -> int:
        return self._push(user.subscriptions, subject, self._encode(change, self._cursor))

    def _push(self, subscriptions: Iterable[Subscription], subject: str, event: bytes) -> int:
        told = 0
        for subscription in subscriptions:
            if not subscription.is_new:
                subscription.push(subject, event, overflow=self._list_changed)
                told += 1
        return told

    def _list_changed(self) -> bytes:
        return self._encode(ListChanged(), self._cursor)

    async def _welcome(self, subscription: Subscription, user: _User, now: float) -> int:
        """Tell a new subscriber how things are, or what has changed since its cursor."""
        since = -float("inf")
        if (cursor := subscription.cursor) is not None:
            if not await self._catch_up(subscription, user, cursor, now):
                self._push([subscription], "", self._list_changed())
            else:
                since = cursor.at - _OVERLAP
        known = [each for each in user.tracked.values() if each is not None and each.told_at >= since]
        for each in sorted(known, key=lambda each: (each.job.submitted_at, each.job.id)):
            self._push([subscription], each.job.id, each.event)
        for change in self._apps.values():
            self._push([subscription], f"app {change.app}", self._encode(change, self._cursor))
        subscription.updated.set()
        return len(known)

    async def _catch_up(self, subscription: Subscription, user: _User, cursor: Cursor, now: float) -> bool:
        """Tell what has changed since the cursor, except of the requests that the feed knows. Returns False if that is
        too much or too long ago, or if the cursor is that of another database."""
        numbers, name = await self._deletion_numbers(), subscription.key.user
        if not (
            now - _MAX_RESUME <= cursor.at <= now + _OVERLAP and numbers.start - 1 <= cursor.deletion < numbers.stop
        ):
            return False
        active = await self._store.changes.active([name], cursor.at - _OVERLAP, _MAX_CHANGES)
        deletions = await self._store.changes.deletions(cursor.deletion, _MAX_CHANGES)
        if max(len(active), len(deletions)) >= _MAX_CHANGES:
            return False
        unknown = [each.id for each in active if each.id not in user.tracked]
        for view in await self._lists.load(user.caller, unknown):
            self._push([subscription], view.job.id, self._encode(RequestChanged(view, user.caller), self._cursor))
        for each in deletions:
            if each.user == name:
                self._push([subscription], each.id, self._encode(RequestDeleted(each.id), self._cursor))
        return True

    async def _deletion_numbers(self) -> range:
        return await self._store.changes.deletion_numbers()

    async def _new_deletions(self, last: int) -> list[DeletedRequest]:
        found = await self._store.changes.deletions(max(last - _DELETION_OVERLAP, 0), _MAX_CHANGES)
        self._seen_deletions = {number for number in self._seen_deletions if number > last - _DELETION_OVERLAP}
        new = [each for each in found if each.number not in self._seen_deletions]
        self._seen_deletions |= {each.number for each in new}
        return new
