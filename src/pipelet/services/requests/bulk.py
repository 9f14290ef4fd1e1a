"""Actions on many requests: those of a list of ids, or all that a filter finds."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

from pipelet.domain.accounts.audit import Action
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.errors import CountDiffers, InputImagesExpired, NotFound, NotPossible, QuotaExceeded
from pipelet.domain.jobs.job import DeleteResult, Job, JobState
from pipelet.domain.jobs.listing import JobFilter
from pipelet.domain.ports.store import Store
from pipelet.services.accounts import audit
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.actions import RequestActions
from pipelet.services.requests.lists import MAX_FOUND, PAGE_SIZE, find_all, reader_of, scope_filter

_SLICE = 50
"""Requests that are changed at the same time; those of others get their turn in between."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The requests of a bulk action: `ids`, or all that `wanted` finds, `expect` in number."""

    ids: Sequence[str] = ()
    wanted: JobFilter | None = None
    expect: int = 0


@dataclass(frozen=True, slots=True)
class BulkResult:
    done: int
    skipped: int
    """Requests that the action does not fit, such as running ones, and ids that the caller cannot change."""


class BulkActions:
    """
    Args:
        max_found: requests that the filter of an action may find.
        page_size: requests that are found at once.
    """

    def __init__(
        self, store: Store, actions: RequestActions, *, max_found: int = MAX_FOUND, page_size: int = PAGE_SIZE
    ) -> None:
        self._store = store
        self._actions = actions
        self._max_found = max_found
        self._page_size = page_size

    async def cancel(self, caller: Caller, selection: Selection, *, running: bool = False) -> BulkResult:
        """Cancel those that are queued. Raises as `delete`.

        Args:
            running: also stop those that run; each may still succeed before it stops.
        """

        async def cancel(job: Job) -> bool:
            if job.state is JobState.QUEUED and await self._actions.cancel_job(caller, job):
                return True
            return running and await self._actions.stop_job(caller, job)

        return await self._each(caller, selection, cancel, Action.CANCEL_REQUESTS)

    async def delete(self, caller: Caller, selection: Selection) -> BulkResult:
        """Delete those that do not run.

        Raises:
            MissingScope: the filter finds requests of other users, and the key cannot operate.
            CountDiffers: it does not find as many as expected; nothing was done.
        """

        async def delete(job: Job) -> bool:
            if job.state is JobState.RUNNING:
                return False
            return await self._actions.delete_job(caller, job) is DeleteResult.DELETED

        return await self._each(caller, selection, delete, Action.DELETE_REQUESTS)

    async def retry(self, caller: Caller, selection: Selection) -> BulkResult:
        """Queue copies of those that failed or were cancelled, while their keys have room. Raises as `delete`."""

        async def retry(job: Job) -> bool:
            if job.state not in (JobState.FAILED, JobState.CANCELLED):
                return False
            try:
                await self._actions.retry_job(caller, job)
            except (NotFound, NotPossible, QuotaExceeded, InputImagesExpired):
                return False
            return True

        return await self._each(caller, selection, retry, Action.RETRY_REQUESTS)

    async def _each(
        self, caller: Caller, selection: Selection, act: Callable[[Job], Awaitable[bool]], action: Action
    ) -> BulkResult:
        ids = list(dict.fromkeys(selection.ids))
        if selection.wanted is not None:
            ids = await self._find(caller, selection.wanted)
            if len(ids) != selection.expect:
                raise CountDiffers(found=len(ids), expected=selection.expect)
        done: list[Job] = []
        for begin in range(0, len(ids), _SLICE):
            jobs = (await self._store.jobs.get_many(ids[begin : begin + _SLICE])).values()
            changeable = [job for job in jobs if job.user == caller.user or caller.has(Scope.OPERATE)]
            outcomes = await asyncio.gather(*map(act, changeable))
            done += (job for job, is_done in zip(changeable, outcomes, strict=True) if is_done)
        if others := [job.id for job in done if job.user != caller.user]:
            target = " ".join(others) if selection.wanted is None else _described(selection.wanted)
            await audit.record(self._store, caller.actor, action, target, after={"requests": len(others)})
        return BulkResult(len(done), len(ids) - len(done))

    async def _find(self, caller: Caller, wanted: JobFilter) -> list[str]:
        """The ids of all that the filter finds, oldest first: retried ones keep their order."""
        scoped, ids = scope_filter(caller, wanted, Scope.OPERATE), list[str]()
        pages = find_all(self._store, scoped, reader_of(caller), max_found=self._max_found, page_size=self._page_size)
        async for page in pages:
            ids += page.ids
        return ids[::-1]


def _described(wanted: JobFilter) -> str:
    """The filter in the audit trail, which has no texts of users."""
    found = {name: value for name, value in asdict(wanted).items() if value is not None and name != "text"}
    return " ".join(f"{name}={value}" for name, value in found.items()) or "all"
