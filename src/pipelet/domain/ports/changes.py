"""Changes: which requests of some users are new or different since a moment."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

KEPT_DELETIONS = 20_000
"""The newest deletions, which are kept for streams that continue later."""


class RequestOfUser(NamedTuple):
    user: str
    id: str


class DeletedRequest(NamedTuple):
    number: int
    """Later deletions have larger ones. A smaller one may become visible a moment after a larger one."""
    user: str
    id: str


class ChangeStore(Protocol):
    """What a stream of changes reads. No query looks at more rows than it is told."""

    async def newest(self, user: str, limit: int) -> list[str]:
        """Return the ids of a user's newest requests, newest first."""

    async def active(self, users: Sequence[str], since: float, limit: int) -> list[RequestOfUser]:
        """Return the requests of `users` that run, and those that were submitted or have ended after `since`: of the
        latter two, the newest `limit` each."""

    async def deletions(self, after: int, limit: int) -> list[DeletedRequest]:
        """Return deletions with a number above `after`, in order."""

    async def deletion_numbers(self) -> range:
        """Return the numbers of the deletions that are kept; an empty range that begins after the last if none is."""

    async def forget_deletions(self, limit: int) -> int:
        """Drop up to `limit` of the deletions before the newest `KEPT_DELETIONS`; return how many."""
