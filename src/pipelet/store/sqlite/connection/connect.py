"""Connections to the embedded database, and the space that it takes."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from pipelet.domain.errors import StoreError
from pipelet.store.sqlite.connection.group_commit import FULL, LOCK_TIMEOUT_SECONDS

_LOG_BYTES = 64 * 2**20
"""Bytes to which the write-ahead log shrinks after a long read made it grow beyond."""
_TRUNCATE_MILLISECONDS = 100

_READ_MARKS = range(124, 128)
"""Bytes of the shared memory that SQLite locks while a connection reads from the log (its file format, 4.6)."""
_LOCKS = Path("/proc/locks")
_READER_SAMPLES, _READER_PAUSE = 5, 0.1

_MIN_FREE_BYTES = 64 * 1024
"""Bytes. A request takes a few kilobytes, and a database file grows by pages."""


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    # Deleted content is overwritten, which only some builds do by default.
    connection.execute("PRAGMA secure_delete = ON")
    # A savepoint and each statement with triggers keep the pages that they change: by default, beyond 64 KiB, in a
    # temporary file. A submit wrote twenty pages there, and content that is deleted later was in them.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    return connection


def require_space(path: Path) -> None:
    """Check the disk of the database: a small write may find room in the database's log even if the disk is full.

    Raises:
        StoreError: the disk is full.
    """
    try:
        disk = os.statvfs(path.parent)
    except OSError as error:
        raise StoreError(f"The folder {path.parent} cannot be read: {error.strerror}.") from error
    if disk.f_blocks and disk.f_bavail * disk.f_frsize < _MIN_FREE_BYTES:
        raise StoreError(f"{FULL} ({path.parent} has less than {_MIN_FREE_BYTES // 1024} KiB left.)")


def free_bytes(path: Path) -> tuple[int, int]:
    """Return the bytes of unused pages of a database file, and of all its pages."""
    with contextlib.closing(connect(path)) as connection:
        size, free, pages = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "freelist_count", "page_count")
        )
        return size * free, size * pages


def forget_statistics(connection: sqlite3.Connection) -> None:
    """Delete what ANALYZE or `PRAGMA optimize` has gathered. Our queries say how to run them; with statistics of a deep
    queue SQLite first reads all of it, to filter what a query then takes one step for."""
    with contextlib.suppress(sqlite3.OperationalError):
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE name GLOB 'sqlite_stat[0-9]'"
        ).fetchall():
            connection.execute(f"DROP TABLE {name}")


def truncate_log(path: Path) -> None:
    """Copy the write-ahead log into the database and empty it, unless other connections read or write right now."""
    log = path.with_name(f"{path.name}-wal")
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size == 0:
            return
    with contextlib.closing(connect(path)) as connection, contextlib.suppress(sqlite3.OperationalError):
        # The passive run does most of the work while others write. They wait for the second one, so that one must not
        # wait for long reads.
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        connection.execute(f"PRAGMA busy_timeout = {_TRUNCATE_MILLISECONDS}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def log_readers(path: Path) -> list[int]:
    """Return the ids of the processes that read from the write-ahead log all the time for half a second: while they
    do, deleted content stays in the log. Empty where the system does not tell."""
    found: set[int] | None = None
    for sample in range(_READER_SAMPLES):
        if sample:
            time.sleep(_READER_PAUSE)
        readers = _readers_now(path.with_name(f"{path.name}-shm"))
        found = readers if found is None else found & readers
        if not found:
            return []
    return sorted(found or ())


def _readers_now(memory: Path) -> set[int]:
    readers = set()
    with contextlib.suppress(OSError, ValueError):
        inode = memory.stat().st_ino
        for line in _LOCKS.read_text().splitlines():
            # 7: POSIX  ADVISORY  READ 4711 fd:01:1234567 124 124
            parts = line.split()
            is_ours = len(parts) == 8 and parts[3] == "READ" and parts[5].rpartition(":")[2] == str(inode)
            if is_ours and int(parts[6]) in _READ_MARKS:
                readers.add(int(parts[4]))
    return readers - {os.getpid()}
