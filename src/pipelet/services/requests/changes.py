"""Changes of requests, and the subscribers that are told of them."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.lists import RequestView

_SLICE_BYTES = 8192
MAX_PENDING = 500
"""Events that a subscriber may leave untaken."""


class Cursor(NamedTuple):
    """A position in the changes, which means the same to every process."""

    at: float
    """Seconds since the epoch."""
    deletion: int
    """Number of the last deletion."""

    def __str__(self) -> str:
        return f"{self.at:.3f}-{self.deletion}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return None for a text that is not a cursor."""
        found = re.fullmatch(r"([0-9]{1,11}\.[0-9]{3})-([0-9]{1,18})", text)
        return cls(float(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class RequestChanged:
    view: RequestView
    """As `caller` may see it."""
    caller: Caller


@dataclass(frozen=True, slots=True)
class RequestDeleted:
    request_id: str


@dataclass(frozen=True, slots=True)
class AppChanged:
    app: str
    paused_at: float | None
    workers: int
    """Live workers that start its requests."""


@dataclass(frozen=True, slots=True)
class ListChanged:
    """More has changed than can be told: read the list again."""


Change = RequestChanged | RequestDeleted | AppChanged | ListChanged
Encode = Callable[[Change, Cursor], bytes]


@dataclass(slots=True, eq=False)
class Subscription:
    """One subscriber. It waits for `updated`, clears it, and takes the events."""

    key: ApiKey
    cursor: Cursor | None
    """Where it continues; None at the beginning."""
    is_new: bool = True
    is_open: bool = True
    """False once the key is no longer valid, and when the feed closes."""
    updated: asyncio.Event = field(default_factory=asyncio.Event)
    pending: dict[str, bytes] = field(default_factory=dict)
    """Events by what they are about: a newer one replaces an older one that has not been taken."""

    def push(self, subject: str, event: bytes, overflow: Callable[[], bytes]) -> None:
        self.pending.pop(subject, None)  # so that events stay in the order of their cursors
        self.pending[subject] = event
        if len(self.pending) > MAX_PENDING:
            self.pending = {"": overflow()}
        self.updated.set()

    def take(self) -> bytes:
        """Return the first events that have not been taken: some kilobytes at a time, so that streams that open
        together do not hold all of theirs at once."""
        events, size = [], 0
        for subject in list(self.pending):
            events.append(self.pending.pop(subject))
            size += len(events[-1])
            if size >= _SLICE_BYTES:
                break
        return b"".join(events)

    def refuse(self) -> None:
        self.is_open = False
        self.updated.set()
