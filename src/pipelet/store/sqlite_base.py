"""What the parts of the embedded store have in common: the database, and who is told of changes."""

import asyncio
import sqlite3
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pipelet.domain.clock import SystemClock
from pipelet.domain.ports import Clock
from pipelet.store.bell import Bell
from pipelet.store.group_commit import LOCK_SECONDS, GroupCommit
from pipelet.store.sqlite_queries import SqliteQueries
from pipelet.system.permissions import PRIVATE, Permissions


class SqliteBase:
    def __init__(self, path: Path, permissions: Permissions = PRIVATE) -> None:
        self.clock: Clock = SystemClock()
        self._reader = connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        self._work = Bell(path, permissions=permissions)
        self._news = Bell(path, about="-changes", permissions=permissions)
        self._writer = GroupCommit(connect(path), announce=self._work.ring, tell=self._news.ring)
        self._queries = SqliteQueries(self._reader, self._writer)

    def close(self) -> None:
        """What was asked for is committed first."""
        self._writer.close()
        self._reader.close()
        self._work.close()
        self._news.close()

    def work_arrived(self) -> AbstractAsyncContextManager[asyncio.Event]:
        return self._work.listen()

    def changes(self) -> AbstractAsyncContextManager[asyncio.Event]:
        return self._news.listen()


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
