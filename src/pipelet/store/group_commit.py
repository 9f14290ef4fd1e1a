"""Group commit: whatever waits is committed together, and answered only after the commit.

A durable commit costs one fsync, however many rows it holds. Writing one row a commit gives some hundreds a second;
writing what has queued up meanwhile gives thousands, and nobody waits longer for it.

The statements run in place, on the event loop: they take microseconds. What may take long, the fsync and the wait for
another program's lock, happens in a thread. With the statements in that thread, too, it and the loop would hand the
interpreter's lock back and forth with every row, which costs more than the rows.
"""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from pipelet.domain.errors import StoreUnusable

Result = TypeVar("Result")

_BATCH = 32
_PAUSE = 0.005
"""Seconds between batches. SQLite's lock is not fair: without a pause another process that wants to write starves.

A write that is not durable ends the pause. Those are a worker's claims, leases and progress: too few to starve anyone,
and an engine is idle until its worker has claimed."""
"""Seconds between batches. SQLite's lock is not fair: without a pause another process that wants to write starves."""
FULL = "The disk is full. Free some space; requests are accepted again at once."
LOCK_SECONDS = 5.0
"""How long a write waits for another program that holds the database; then it fails, and may be made again."""


@dataclass(slots=True)
class _Write:
    operation: Callable[[sqlite3.Connection], Any]
    durable: bool
    announced: bool
    quiet: bool
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def resolve(self) -> None:
        if self.future.done():  # whoever waited was cancelled
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class GroupCommit:
    """Owns the writing connection.

    Args:
        announce: called once after a commit that held an announced write: there is work.
        tell: called once after a commit that held any write that was not quiet: something changed.
        pause: seconds between batches.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        announce: Callable[[], None],
        tell: Callable[[], None],
        pause: float = _PAUSE,
    ) -> None:
        self._connection = connection
        self._connection.execute("PRAGMA busy_timeout = 0")  # see `_begin`
        self._announce = announce
        self._tell = tell
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
        announced: bool = False,
        quiet: bool = False,
    ) -> Result:
        """Run `operation`, which must be quick, inside a transaction. With `durable=False` a power cut may undo it.

        Raises:
            StoreUnusable: the database did not take it: nothing of `operation` happened.
        """
        write = _Write(operation, durable, announced, quiet, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        if not durable:
            self._pause_over.set()
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return await write.future  # type: ignore[no-any-return]

    def close(self) -> None:
        """End; a commit under way is finished first. Nobody may still be waiting for a write."""
        if self._flushing is not None:
            self._flushing.cancel()
        self._thread.shutdown()
        self._connection.close()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                try:
                    if not self._begin(batch):
                        await loop.run_in_executor(self._thread, self._begin_patiently)
                    self._run(batch)
                    await loop.run_in_executor(self._thread, self._connection.execute, "COMMIT")
                except sqlite3.Error as error:
                    self._give_up(batch, error)
                if any(write.announced and write.error is None for write in batch):
                    self._announce()
                if any(not write.quiet and write.error is None for write in batch):
                    self._tell()
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
        """False: another program holds the lock."""
        durable = any(write.durable for write in batch)
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    def _begin_patiently(self) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {round(1000 * LOCK_SECONDS)}")
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
        except Exception:  # noqa: BLE001 - one of them is at fault; this time it is found, and handed its error
            self._connection.execute("ROLLBACK TO batch")
            for write in batch:
                _run_alone(self._connection, write)

    def _give_up(self, batch: list[_Write], error: sqlite3.Error) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the callers must get the first error all the same
                self._connection.execute("ROLLBACK")
        for write in batch:
            write.error = StoreUnusable(explain(error))


def _run_alone(connection: sqlite3.Connection, write: _Write) -> None:
    """One operation that fails must not take its neighbours along."""
    connection.execute("SAVEPOINT operation")
    try:
        write.result = write.operation(connection)
    except sqlite3.OperationalError:
        raise
    except Exception as error:  # noqa: BLE001 - handed to whoever asked for the write
        write.error = error
        connection.execute("ROLLBACK TO operation")
    connection.execute("RELEASE operation")


def explain(error: sqlite3.Error) -> str:
    """What an SQLite error means for the operator."""
    advice = {
        sqlite3.SQLITE_FULL: FULL,
        sqlite3.SQLITE_BUSY: "The database is locked by another program. Close it, or wait until it is done.",
        sqlite3.SQLITE_READONLY: "The database cannot be written. Check the permissions of the data directory, and "
        "that its disk is not mounted read-only.",
        sqlite3.SQLITE_CANTOPEN: "The database cannot be opened. Check that the data directory exists and is writable.",
        sqlite3.SQLITE_IOERR: "The disk reports an error while the database is used. Check its space and its health.",
        sqlite3.SQLITE_CORRUPT: "The database file is damaged. Restore it from a backup.",
        sqlite3.SQLITE_NOTADB: "The file is not an SQLite database. Check PIPELET_DATABASE_URL.",
    }
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return f"{advice.get(code, 'The database refused.')} (SQLite says: {error})"
