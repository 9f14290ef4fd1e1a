"""One thread that writes: it commits whatever waits, together, and answers only after the commit.

A durable commit costs one fsync, however many rows it holds. Writing one row a commit gives some hundreds a second;
writing what has queued up meanwhile gives thousands, and nobody waits longer for it.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pipelet.domain.errors import StoreUnusable

Result = TypeVar("Result")

_BATCH = 32
_PAUSE = 0.005
"""Seconds between batches. SQLite's lock is not fair: without a pause another process that wants to write starves."""


@dataclass(slots=True)
class _Write:
    operation: Callable[[sqlite3.Connection], Any]
    durable: bool
    announced: bool
    loop: asyncio.AbstractEventLoop
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
    """Owns the writing connection. `announce` runs in its thread, once after a commit that held an announced write."""

    def __init__(self, connection: sqlite3.Connection, announce: Callable[[], None]) -> None:
        self._connection = connection
        self._announce = announce
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="pipelet-store-writer", daemon=True)
        self._thread.start()

    async def write(
        self, operation: Callable[[sqlite3.Connection], Result], *, durable: bool = True, announced: bool = False
    ) -> Result:
        """Run `operation` inside a transaction. With `durable=False` a power cut may undo it, whole, never in part.

        Raises:
            StoreUnusable: the database did not take it: nothing of `operation` happened.
        """
        loop = asyncio.get_running_loop()
        write = _Write(operation, durable, announced, loop, loop.create_future())
        self._waiting.put(write)
        return await write.future  # type: ignore[no-any-return]

    def close(self) -> None:
        """Commit what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._connection) as connection:
            while batch := self._next_batch():
                self._commit(connection, batch)
                if any(write.announced and write.error is None for write in batch):
                    self._announce()
                for write in batch:
                    write.loop.call_soon_threadsafe(write.resolve)
                if not self._waiting.empty():
                    time.sleep(_PAUSE)

    def _next_batch(self) -> list[_Write]:
        batch: list[_Write] = []
        while len(batch) < _BATCH:
            try:
                write = self._waiting.get(block=not batch)
            except queue.Empty:
                break
            if write is None:
                self._waiting.put(None)  # still there for the next look, which then finds nothing else
                break
            batch.append(write)
        return batch

    def _commit(self, connection: sqlite3.Connection, batch: list[_Write]) -> None:
        durable = any(write.durable for write in batch)
        try:
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            try:
                _transact(connection, batch, _run)
            except sqlite3.OperationalError:
                raise
            except Exception:  # noqa: BLE001 - one of them is at fault; this time it is found, and handed its error
                connection.execute("ROLLBACK")
                _transact(connection, batch, _run_alone)
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for write in batch:
                write.error = StoreUnusable(explain(error))


def _transact(
    connection: sqlite3.Connection, batch: list[_Write], run: Callable[[sqlite3.Connection, _Write], None]
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for write in batch:
        run(connection, write)
    connection.execute("COMMIT")


def _run(connection: sqlite3.Connection, write: _Write) -> None:
    # Without a savepoint around it: each statement more is a wait more for the interpreter's lock, which a busy event
    # loop holds nearly all the time.
    write.result = write.operation(connection)


def _run_alone(connection: sqlite3.Connection, write: _Write) -> None:
    """One operation that fails must not take its neighbours along; a database that fails takes the whole batch."""
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
        sqlite3.SQLITE_FULL: "The disk is full. Free some space; requests are accepted again at once.",
        sqlite3.SQLITE_BUSY: "The database is locked by another program. Close it, or wait until it is done.",
        sqlite3.SQLITE_READONLY: "The database cannot be written. Check the permissions of the data directory.",
        sqlite3.SQLITE_CANTOPEN: "The database cannot be opened. Check that the data directory exists and is writable.",
        sqlite3.SQLITE_IOERR: "The disk reports an error while the database is used. Check its space and its health.",
        sqlite3.SQLITE_CORRUPT: "The database file is damaged. Restore it from a backup.",
        sqlite3.SQLITE_NOTADB: "The file is not an SQLite database. Check PIPELET_DATABASE_URL.",
    }
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return f"{advice.get(code, 'The database refused.')} (SQLite says: {error})"
