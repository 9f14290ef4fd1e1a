"""What the parts of the embedded store have in common: the database, and who is told of changes."""

import asyncio
import contextlib
import os
import sqlite3
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pipelet.domain.clock import SystemClock
from pipelet.domain.errors import StoreUnusable
from pipelet.domain.ports import Clock
from pipelet.store.bell import Bell
from pipelet.store.group_commit import FULL, LOCK_SECONDS, GroupCommit
from pipelet.store.sqlite_queries import SqliteQueries
from pipelet.system.permissions import PRIVATE, Permissions

_LOG_BYTES = 64 * 2**20
"""Size of the write-ahead log after it has grown beyond, which a long read makes it do."""
_TRUNCATE_MILLISECONDS = 100

_LEAST_SPACE = 64 * 1024
"""Bytes. A request is some kilobytes, and a file of the database grows by pages."""


class SqliteBase:
    def __init__(self, path: Path, permissions: Permissions = PRIVATE) -> None:
        self.clock: Clock = SystemClock()
        self._path = path
        self._reader = connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        self._work = Bell(path, permissions=permissions)
        self._news = Bell(path, about="-changes", permissions=permissions)
        self._writer = GroupCommit(connect(path), announce=self._work.ring, tell=self._news.ring)
        self._queries = SqliteQueries(self._reader, self._writer)

    async def truncate_log(self) -> None:
        """Copy the write-ahead log into the database and empty the file, unless others read or write right now."""
        await asyncio.to_thread(_truncate_log, self._path)

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


def require_space(path: Path) -> None:
    """
    Raises:
        StoreUnusable: the disk of the database is full. A small write may find room in the database's log all the same.
    """
    try:
        disk = os.statvfs(path.parent)
    except OSError as error:
        raise StoreUnusable(f"The folder {path.parent} cannot be read: {error.strerror}.") from error
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < _LEAST_SPACE:
        raise StoreUnusable(f"{FULL} ({path.parent} has less than {_LEAST_SPACE // 1024} KiB left.)")


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten, which is the default of some builds only.
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    return connection


def free_bytes(path: Path) -> tuple[int, int]:
    """Of a database file: the bytes of pages that nothing uses any more, and of all pages."""
    with contextlib.closing(connect(path)) as connection:
        size, free, pages = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "freelist_count", "page_count")
        )
        return size * free, size * pages


def _truncate_log(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size == 0:
            return
    with contextlib.closing(connect(path)) as connection, contextlib.suppress(sqlite3.OperationalError):
        # Most of the work first, while others write. Then they wait, and so long reads must not be waited for.
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        connection.execute(f"PRAGMA busy_timeout = {_TRUNCATE_MILLISECONDS}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
