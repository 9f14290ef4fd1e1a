"""The queries of the embedded store, run by their names."""

import json
import sqlite3
from functools import lru_cache
from typing import Any

from pipelet.domain.errors import StoreUnusable
from pipelet.store import queries
from pipelet.store.group_commit import GroupCommit, explain

SQL = queries.load("sqlite")


def fetch(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> list[sqlite3.Row]:
    """For several queries in one write."""
    # All rows are fetched, so that no statement stays open and holds the commit back.
    return db.execute(SQL[query], values).fetchall()


def fetch_one(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> sqlite3.Row | None:
    return next(iter(fetch(db, query, values)), None)


def fetch_value(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> Any:
    row = fetch_one(db, query, values)
    return row[0] if row else None


@lru_cache(64)  # the same few tuples of apps, with every poll
def as_json(apps: tuple[str, ...]) -> str:
    return json.dumps(apps)


def write_log(db: sqlite3.Connection, job_id: str, at: float, level: str, message: str) -> None:
    db.execute(SQL["write_log"], {"job_id": job_id, "at": at, "level": level, "message": message})


class SqliteQueries:
    """For one query, which reads in place, or is a write of its own."""

    def __init__(self, reader: sqlite3.Connection, writer: GroupCommit) -> None:
        self._reader = reader
        self._writer = writer

    def all(self, query: str, **values: Any) -> list[sqlite3.Row]:
        try:
            return fetch(self._reader, query, values)
        except sqlite3.Error as error:
            raise StoreUnusable(explain(error)) from error

    def one(self, query: str, **values: Any) -> sqlite3.Row | None:
        return next(iter(self.all(query, **values)), None)

    async def write(
        self, query: str, values: dict[str, Any], *, durable: bool = True, announced: bool = False, quiet: bool = False
    ) -> list[sqlite3.Row]:
        """`GroupCommit.write` tells what the flags mean."""
        return await self._writer.write(
            lambda db: fetch(db, query, values), durable=durable, announced=announced, quiet=quiet
        )
