"""The queries of the embedded store, run by name."""

import json
import sqlite3
from functools import lru_cache
from typing import Any

from pipelet.domain.errors import StoreError
from pipelet.store import queries
from pipelet.store.sqlite.connection.group_commit import GroupCommit, explain

SQL = queries.load("sqlite")


def fetch(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> list[sqlite3.Row]:
    """Run one of several queries of a write."""
    # All rows are fetched, so that no statement stays open and delays the commit.
    return db.execute(SQL[query], values).fetchall()


def fetch_one(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> sqlite3.Row | None:
    return next(iter(fetch(db, query, values)), None)


def fetch_value(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> Any:
    row = fetch_one(db, query, values)
    return row[0] if row else None


@lru_cache(64)  # every poll has one of the same few tuples of apps
def as_json(apps: tuple[str, ...]) -> str:
    return json.dumps(apps)


def log_entry(db: sqlite3.Connection, job_id: str, at: float, level: str, message: str) -> None:
    db.execute(SQL["insert_log_entry"], {"job_id": job_id, "at": at, "level": level, "message": message})


class SqliteQueries:
    """Runs single queries: reads in place, and writes of one statement."""

    def __init__(self, reader: sqlite3.Connection, writer: GroupCommit) -> None:
        self._reader = reader
        self._writer = writer

    def all(self, query: str, **values: Any) -> list[sqlite3.Row]:
        try:
            return fetch(self._reader, query, values)
        except sqlite3.Error as error:
            raise StoreError(explain(error)) from error

    def one(self, query: str, **values: Any) -> sqlite3.Row | None:
        return next(iter(self.all(query, **values)), None)

    async def write(self, query: str, values: dict[str, Any], **flags: bool) -> list[sqlite3.Row]:
        """Run one statement as a write; `flags` are those of `GroupCommit.write`."""
        return await self._writer.write(lambda db: fetch(db, query, values), **flags)
