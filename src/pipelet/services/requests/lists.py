"""Lists of requests and their details: what a caller may find, and how much of it they see.

A key with the scope `observe` finds the requests of all users, and `content` also shows what they generate. A request
whose input is not to be stored shows no content to anyone but its user.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.errors import NotFound, NotPossible
from pipelet.domain.ids import is_request_id
from pipelet.domain.jobs.job import Job, JobState, LogEntry
from pipelet.domain.jobs.listing import JobFilter, JobIdPage, Place, Reader
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.status import NO_SUCH_REQUEST, JobStatus, StatusReader

ALL_USERS = "*"
"""The `user` of a filter that finds the requests of all users."""
MAX_FOUND = 250_000
"""Maximum requests that a filter may find where all of them are needed, as for a bulk action."""
PAGE_SIZE = 2000
"""Requests that are found at once where all are needed: as many as a page looks at, so that none is looked at twice."""


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request as its caller may see it."""

    status: JobStatus
    shows_content: bool
    """Whether the caller may see input, images, log and the message of an error."""
    is_own: bool
    total_seconds: int | None
    """Estimated seconds from submit to result; exact once it has ended, None if nothing can be estimated."""
    expires_at: float | None
    """When retention deletes it; None before its end, and if it is kept."""

    @property
    def job(self) -> Job:
        return self.status.job


class RequestLists:
    """
    Args:
        retention_seconds: seconds for which the operator keeps requests after their end.
    """

    def __init__(self, store: Store, statuses: StatusReader, *, retention_seconds: float) -> None:
        self._store = store
        self._statuses = statuses
        self._retention_seconds = retention_seconds

    async def page(
        self, caller: Caller, wanted: JobFilter, *, after: Place | None, limit: int
    ) -> tuple[list[RequestView], Place | None]:
        """Up to `limit` requests, newest first, and the place after which the list continues.

        Raises:
            MissingScope: the filter finds requests of other users.
        """
        scoped, reader, now = scope_filter(caller, wanted, Scope.OBSERVE), reader_of(caller), self._store.clock.now()
        found = await self._store.history.find_ids(scoped, reader, after=after, limit=limit, now=now)
        return await self.load(caller, found.ids), found.next

    async def count(self, caller: Caller, wanted: JobFilter) -> Counter[JobState]:
        """How many requests in each state the filter finds.

        Raises:
            MissingScope: it finds requests of other users.
            NotPossible: it finds more than `MAX_FOUND`.
        """
        scoped, counts = scope_filter(caller, wanted, Scope.OBSERVE), Counter[JobState]()
        if (state := scoped.only_state) is not None and state is not JobState.SUCCEEDED:
            return Counter({state: await self._count_in_state(scoped)})
        async for page in find_all(self._store, scoped, reader_of(caller)):
            counts.update(page.states)
        return counts

    async def _count_in_state(self, scoped: JobFilter) -> int:
        now = self._store.clock.now()
        found = await self._store.history.count_in_state(scoped, now=now, limit=MAX_FOUND + 1)
        if found > MAX_FOUND:
            raise _too_many(MAX_FOUND)
        return found

    async def load(self, caller: Caller, ids: Sequence[str]) -> list[RequestView]:
        """The requests of these ids in their order, without those that do not exist any more."""
        jobs = await self._store.jobs.get_many(ids)
        found = [jobs[each] for each in ids if each in jobs]
        statuses = await self._statuses.load_many(found)
        # What has just started has no place in the queue.
        return [await self.view(caller, statuses.get(job.id) or JobStatus(job)) for job in found]

    async def get(self, caller: Caller, request_id: str) -> RequestView:
        """
        Raises:
            NotFound: the request is unknown, has expired, or belongs to another user and the key cannot observe.
        """
        job = await self._statuses.get_job(request_id, user=None if caller.has(Scope.OBSERVE) else caller.user)
        return await self.view(caller, await self._statuses.load(job))

    async def log(self, view: RequestView) -> list[LogEntry]:
        return await self._store.jobs.log(view.job)

    def message(self, view: RequestView) -> str:
        """The status in one line."""
        return self._statuses.message(view.status)

    async def view(self, caller: Caller, status: JobStatus) -> RequestView:
        """A request as the caller may see it."""
        job = status.job
        is_own = job.user == caller.user
        return RequestView(
            status,
            shows_content=is_own or (caller.has(Scope.CONTENT) and job.store_input),
            is_own=is_own,
            total_seconds=await self._statuses.total_seconds(status),
            expires_at=self._expires_at(job),
        )

    def _expires_at(self, job: Job) -> float | None:
        if job.finished_at is None or job.kept:
            return None
        own = self._retention_seconds if job.retention_seconds is None else job.retention_seconds
        return job.finished_at + min(own, self._retention_seconds)


def scope_filter(caller: Caller, wanted: JobFilter, scope: Scope) -> JobFilter:
    """Restrict a filter to the caller's own requests, unless it names others: a user, a key, a worker or a priority.

    Args:
        scope: what others' requests need.

    Raises:
        MissingScope: the key does not have it.
    """
    named = {"user": wanted.user, "key": wanted.key_id, "worker": wanted.worker, "priority": wanted.priority}
    others = [name for name, value in named.items() if value is not None and (name, value) != ("user", caller.user)]
    for name in others:
        caller.require(scope, f"The filter `{name}`")
    if wanted.user == ALL_USERS:
        return replace(wanted, user=None)
    return wanted if others else replace(wanted, user=caller.user)


def reader_of(caller: Caller) -> Reader:
    return Reader(user=caller.user, sees_content=caller.has(Scope.CONTENT))


async def find_all(
    store: Store, scoped: JobFilter, reader: Reader, *, max_found: int = MAX_FOUND, page_size: int = PAGE_SIZE
) -> AsyncIterator[JobIdPage]:
    """Yield all pages of a list, newest first. Other tasks run in between.

    Raises:
        NotPossible: there are more than `max_found` requests.
    """
    if not scoped.is_selective and await store.history.has_more_than(max_found, scoped):
        raise _too_many(max_found)  # before it walks over all of them
    now, found = store.clock.now(), 0
    after: Place | None = None
    while True:
        page = await store.history.find_ids(scoped, reader, after=after, limit=page_size, now=now)
        found += len(page.ids)
        if found > max_found:
            raise _too_many(max_found)
        yield page
        if page.next is None:
            return
        after = page.next
        await asyncio.sleep(0)


def _too_many(max_found: int) -> NotPossible:
    return NotPossible(f"The filter finds more than {max_found:,} requests. Narrow it, such as by `until`.")


async def get_job_to_change(store: Store, caller: Caller, request_id: str) -> Job:
    """A request that the caller may change: their own, or with the scope `operate` that of any user.

    Raises:
        NotFound: the request is unknown, has expired, or belongs to another user and the key cannot see that.
        MissingScope: it belongs to another user, and the key can only observe.
    """
    job = await store.jobs.get(request_id) if is_request_id(request_id) else None
    if job is None or job.is_expired(store.clock.now()):
        raise NotFound(NO_SUCH_REQUEST)
    if job.user != caller.user and not caller.has(Scope.OPERATE):
        if not caller.has(Scope.OBSERVE):
            raise NotFound(NO_SUCH_REQUEST)
        caller.require(Scope.OPERATE, "Changing the requests of other users")
    return job
