"""The history of requests."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipelet.domain.jobs.job import DeleteResult, JobState
from pipelet.domain.jobs.listing import TEXT_WINDOW, JobFilter, JobIdPage, Place, Reader
from pipelet.domain.ports.history import Deletion
from pipelet.store.queries import DialectQueries, SmallStore
from pipelet.store.rows import Row

SCAN_LIMIT = 2000
"""Requests that one page of a filtered list looks at, in some milliseconds."""
_NEWEST = Place(1e300, "")
"""A place before every request."""


class History(SmallStore[DialectQueries]):
    """Implements `domain.ports.history.JobHistory`, except the deletion."""

    async def find_ids(
        self, wanted: JobFilter, reader: Reader, *, after: Place | None, limit: int, now: float
    ) -> JobIdPage:
        first = after or _NEWEST
        top = _NEWEST if wanted.until is None else Place(wanted.until, "")
        # A search counts from the newest request on; other lists continue where the page before ended.
        start = top if wanted.text is not None else min(first, top)
        scan_limit = TEXT_WINDOW if wanted.text is not None else SCAN_LIMIT if wanted.is_selective else limit + 1
        values = asdict(wanted) | {
            "since": 0.0 if wanted.since is None else wanted.since,
            "reader": reader.user,
            "sees_content": reader.sees_content,
            "scan_at": start.submitted_at,
            "scan_id": start.id,
            "after_at": first.submitted_at,
            "after_id": first.id,
            "scan_limit": scan_limit,
            "limit": limit + 1,
            "now": now,
        }
        found = await self._queries.all(_query_for(wanted), **values)
        return _page(found, limit, scan_limit, is_search=wanted.text is not None)

    async def has_more_than(self, number: int, wanted: JobFilter) -> bool:
        values = _bounds(wanted.since, wanted.until) | {"skipped": number}
        if wanted.user is None:
            return await self._queries.one("has_jobs", **values) is not None
        return await self._queries.one("has_jobs_of_user", user=wanted.user, **values) is not None

    async def count_in_state(self, wanted: JobFilter, *, now: float, limit: int) -> int:
        values = _bounds(wanted.since, wanted.until) | {"state": wanted.state, "retried": wanted.retried}
        [row] = await self._queries.all("count_jobs_in_state", now=now, limit=limit, **values)
        return int(row["requests"])

    async def set_kept(self, job_id: str, kept: bool) -> bool:
        return bool(await self._queries.write("set_job_kept", {"id": job_id, "kept": kept}))

    async def set_retried(self, job_id: str, new_id: str) -> None:
        await self._queries.write("set_job_retried", {"id": job_id, "retried_as": new_id})

    @abstractmethod
    async def delete(self, job_id: str, now: float) -> Deletion: ...


def _bounds(since: float | None, until: float | None) -> dict[str, Any]:
    """Return the values of a query for submits from `since` to before `until`."""
    return {"since": 0.0 if since is None else since, "until": _NEWEST.submitted_at if until is None else until}


def _query_for(wanted: JobFilter) -> str:
    if wanted.user is not None:
        return "list_job_ids_of_user"
    if wanted.state in (None, JobState.SUCCEEDED) or wanted.text is not None:
        return "list_job_ids"
    return "list_job_ids_in_state"


def _page(found: Sequence[Row], limit: int, scan_limit: int, *, is_search: bool) -> JobIdPage:
    """Return the page that the rows of `list_job_ids` stand for."""
    matching = [row for row in found if row["scanned"] is None]
    ids = tuple(row["id"] for row in matching[:limit])
    states = tuple(JobState(row["state"]) for row in matching[:limit])
    if len(matching) > limit:
        last = matching[limit - 1]
        return JobIdPage(ids, states, Place(last["submitted_at"], last["id"]))
    scanned = next((row for row in found if row["scanned"] is not None), None)
    if scanned is None or scanned["scanned"] < scan_limit or is_search:
        return JobIdPage(ids, states, None)
    return JobIdPage(ids, states, Place(scanned["submitted_at"], scanned["id"]))


def not_deleted(state: str | None) -> Deletion:
    """Return the result of a deletion that found no ended job, by the job's state; None for an unknown one."""
    return Deletion(DeleteResult.UNKNOWN if state is None else DeleteResult.NOT_ENDED)
