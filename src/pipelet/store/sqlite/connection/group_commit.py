"""Group commit: all waiting writes are committed together, and each call returns only after the commit.

A durable commit costs one fsync, however many rows it holds. One row per commit gives a few hundred rows per second;
committing all rows that queued up during the last commit gives thousands, and no write waits longer for it.

The statements run in place, on the event loop: they take microseconds. What may take long, the fsync and the wait for
another program's lock, runs in a thread. If the statements ran in that thread, too, the thread and the loop would pass
the interpreter's lock back and forth with every row, which costs more than the rows.
"""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from pipelet.domain.errors import StoreError

Result = TypeVar("Result")

_MAX_BATCH = 32
_YIELD_SECONDS = 0.005
"""Seconds between batches. SQLite's lock is not fair: without a pause another process that wants to write starves.

A write that is not durable ends the pause. Those are a worker's claims, leases and progress: too few to starve another
process, and an engine is idle until its worker has claimed."""
FULL = "The disk is full. Free some space; requests are accepted again at once."
LOCK_TIMEOUT_SECONDS = 5.0
"""Seconds for which a write waits for another program that holds the lock; then it fails and may be retried."""


@dataclass(slots=True)
class _Write:
    operation: Callable[[sqlite3.Connection], Any]
    durable: bool
    notify_workers: bool
    notify_watchers: bool
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def resolve(self) -> None:
        if self.future.done():  # the caller was cancelled
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class GroupCommit:
    """Owns the writing connection.

    Args:
        on_work: called once after a commit with a write that notifies workers.
        on_change: called once after a commit with a write that notifies watchers.
        pause: seconds between batches.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        on_work: Callable[[], None],
        on_change: Callable[[], None],
        pause: float = _YIELD_SECONDS,
    ) -> None:
        self._connection = connection
        self._connection.execute("PRAGMA busy_timeout = 0")  # see `_begin`
        self._on_work = on_work
        self._on_change = on_change
        self._pause_seconds = pause
        self._waiting: deque[_Write] = deque()
        self._pause_over = asyncio.Event()
        self._flushing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pipelet-store")

    async def write(
        self,
        operation: Callable[[sqlite3.Connection], Result],
        *,
        durable: bool = True,
        notify_workers: bool = False,
        notify_watchers: bool = True,
    ) -> Result:
        """Run `operation`, which must be quick, inside a transaction.

        Args:
            durable: wait until it is on disk; otherwise a power cut may undo it.
            notify_workers: there may be work to claim.
            notify_watchers: the status of a request may have changed.

        Raises:
            StoreError: the database refused it, and nothing of `operation` happened.
        """
        write = _Write(operation, durable, notify_workers, notify_watchers, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        if not durable:
            self._pause_over.set()
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return await write.future  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connection; a commit under way is finished first. No write may still be waiting."""
        if self._flushing is not None:
            self._flushing.cancel()
        self._thread.shutdown()
        self._connection.close()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_MAX_BATCH, len(self._waiting)))]
                try:
                    if not self._begin(batch):
                        await loop.run_in_executor(self._thread, self._begin_with_lock_wait)
                    self._run(batch)
                    await loop.run_in_executor(self._thread, self._connection.execute, "COMMIT")
                except sqlite3.Error as error:
                    self._fail_batch(batch, error)
                if any(write.notify_workers and write.error is None for write in batch):
                    self._on_work()
                if any(write.notify_watchers and write.error is None for write in batch):
                    self._on_change()
                for write in batch:
                    write.resolve()
                if self._waiting:
                    await self._pause()
        finally:
            self._flushing = None

    async def _pause(self) -> None:
        if all(write.durable for write in self._waiting):
            self._pause_over.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds):
                    await self._pause_over.wait()

    def _begin(self, batch: list[_Write]) -> bool:
        """Begin a transaction; False if another program holds the lock."""
        durable = any(write.durable for write in batch)
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    def _begin_with_lock_wait(self) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {round(1000 * LOCK_TIMEOUT_SECONDS)}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        finally:
            self._connection.execute("PRAGMA busy_timeout = 0")

    def _run(self, batch: list[_Write]) -> None:
        self._connection.execute("SAVEPOINT batch")
        try:
            for write in batch:
                write.result = write.operation(self._connection)
        except sqlite3.OperationalError:
            raise  # the database fails, and takes the whole batch
        except Exception:  # noqa: BLE001 - one of them failed; run alone, it is found and gets its error
            self._connection.execute("ROLLBACK TO batch")
            for write in batch:
                _run_alone(self._connection, write)

    def _fail_batch(self, batch: list[_Write], error: sqlite3.Error) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the callers must get the first error all the same
                self._connection.execute("ROLLBACK")
        for write in batch:
            write.error = StoreError(explain(error))


def _run_alone(connection: sqlite3.Connection, write: _Write) -> None:
    """Run one operation so that its failure does not undo the others."""
    connection.execute("SAVEPOINT operation")
    try:
        write.result = write.operation(connection)
    except sqlite3.OperationalError:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the caller
        write.error = error
        connection.execute("ROLLBACK TO operation")
    connection.execute("RELEASE operation")


def explain(error: sqlite3.Error) -> str:
    """Return what an SQLite error means for the operator."""
    advice = {
        sqlite3.SQLITE_FULL: FULL,
        sqlite3.SQLITE_BUSY: "The database is locked by another program. Close that program, or wait until it is done.",
        sqlite3.SQLITE_READONLY: "The database cannot be written. Check the permissions of the data directory, and "
        "that its disk is not mounted read-only.",
        sqlite3.SQLITE_CANTOPEN: "The database cannot be opened. Check that the data directory exists and is writable.",
        sqlite3.SQLITE_IOERR: "The disk reports an error while the database is used. Check its space and its health.",
        sqlite3.SQLITE_CORRUPT: "The database file is damaged. Restore it from a backup.",
        sqlite3.SQLITE_NOTADB: "The file is not an SQLite database. Check PIPELET_DATABASE_URL.",
    }
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return f"{advice.get(code, 'The database refused the statement.')} (SQLite says: {error})"
