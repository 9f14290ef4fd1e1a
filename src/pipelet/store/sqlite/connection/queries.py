"""The queries of the embedded store, run by name."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pipelet.domain.errors import StoreError
from pipelet.store import queries
from pipelet.store.sqlite.connection.group_commit import GroupCommit, explain

SQL = queries.load("sqlite")

# Queries read a list by `json_each`.
sqlite3.register_adapter(list, json.dumps)
sqlite3.register_adapter(tuple, lru_cache(64)(json.dumps))  # every poll has one of the same few tuples of apps


def fetch(db: sqlite3.Connection, query: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
    """Run one of several queries of a write."""
    # All rows are fetched, so that no statement stays open and delays the commit.
    return db.execute(SQL[query], values).fetchall()


def fetch_one(db: sqlite3.Connection, query: str, values: Mapping[str, Any]) -> sqlite3.Row | None:
    return next(iter(fetch(db, query, values)), None)


def fetch_value(db: sqlite3.Connection, query: str, values: Mapping[str, Any]) -> Any:
    row = fetch_one(db, query, values)
    return row[0] if row else None


def change(db: sqlite3.Connection, values: Mapping[str, Any], query: str, *more: str) -> bool:
    """Run `query`, and `more` with the same values if it has changed a row. Return whether it has."""
    if not fetch(db, query, values):
        return False
    for each in more:
        db.execute(SQL[each], values)
    return True


class SqliteQueries(queries.Queries):
    """Reads in place, and writes by `writer`."""

    unique_violation = sqlite3.IntegrityError

    def __init__(self, reader: sqlite3.Connection, writer: GroupCommit) -> None:
        self._reader = reader
        self.writer = writer

    async def all(self, query: str, **values: Any) -> list[sqlite3.Row]:
        try:
            return fetch(self._reader, query, values)
        except sqlite3.Error as error:
            raise StoreError(explain(error)) from error

    async def write(self, query: str, values: Mapping[str, Any], **flags: bool) -> list[sqlite3.Row]:
        return await self.writer.write(lambda db: fetch(db, query, values), **flags)

    async def write_all(self, statements: Sequence[queries.Statement], **flags: bool) -> list[sqlite3.Row]:
        def operation(db: sqlite3.Connection) -> list[sqlite3.Row]:
            found = [fetch(db, *statements[0])]
            for query, values in statements[1:]:
                if found[-1]:
                    found.append(fetch(db, query, values))
            return found[0]

        return await self.writer.write(operation, **flags)
