"""The history of requests: lists of them, and what their users delete and keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipelet.domain.jobs.job import DeleteResult
from pipelet.domain.jobs.listing import JobFilter, JobIdPage, Place, Reader


@dataclass(frozen=True, slots=True)
class Deletion:
    result: DeleteResult
    orphans: Sequence[str] = ()
    """Keys of the files that belong to no request any more. They are noted until `FileStore.delete_rows`, so that
    maintenance deletes what a process that was killed did not."""


class JobHistory(Protocol):
    """Queued, running and ended requests, newest first."""

    async def find_ids(
        self, wanted: JobFilter, reader: Reader, *, after: Place | None, limit: int, now: float
    ) -> JobIdPage:
        """Return up to `limit` ids of the requests that match, from the place `after` on.

        It reads a bounded number of rows: a page may be short although more requests match. A search for a text looks
        at the newest requests only. Requests whose own retention time is over at `now` are left out.

        Args:
            reader: whose prompts a search for a text may look at.
        """

    async def has_more_than(self, number: int, wanted: JobFilter) -> bool:
        """Whether there are more requests of the filter's user and time, whatever else it asks for."""

    async def count_in_state(self, wanted: JobFilter, *, now: float, limit: int) -> int:
        """Return the number of all users' requests in a state, at most `limit`, without reading each of them.

        Args:
            wanted: its state is any other than `succeeded`, which most requests are in. Of the rest, only the times and
                `retried` count.
        """

    async def set_kept(self, job_id: str, kept: bool) -> bool:
        """Keep a request from retention, or stop keeping it. Return False if there is none."""

    async def set_retried(self, job_id: str, new_id: str) -> None:
        """Note that the request `new_id` was queued in place of this one, if it still exists."""

    async def delete(self, job_id: str, now: float) -> Deletion:
        """Delete a request that has ended, in one transaction: with its log, its idempotency key, its webhook and the
        notes of its files."""
