"""What the store knows of a service's requests, read from the side."""

import contextlib
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    id: str
    state: str
    submitted_at: float
    started_at: float | None
    finished_at: float | None
    estimated_seconds: float

    @property
    def total_seconds(self) -> float:
        """Seconds from submit to result of a finished request."""
        assert self.finished_at is not None
        return self.finished_at - self.submitted_at


def read(database: Path) -> Mapping[str, Record]:
    """All requests, by id."""
    query = "SELECT id, state, submitted_at, started_at, finished_at, estimated_seconds FROM job ORDER BY seq"
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        return {row[0]: Record(*row) for row in connection.execute(query)}


def unfinished(database: Path) -> int:
    query = "SELECT COUNT(*) FROM job WHERE state IN ('queued', 'running')"
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        return int(connection.execute(query).fetchone()[0])


def await_drained(database: Path, *, within: float, poll_interval: float = 0.2) -> None:
    """Wait until every request has ended.

    Raises:
        TimeoutError: after `within` seconds some have not.
    """
    until = time.monotonic() + within
    while left := unfinished(database):
        if time.monotonic() > until:
            raise TimeoutError(f"{left} requests have not ended after {within:.0f} s.")
        time.sleep(poll_interval)
