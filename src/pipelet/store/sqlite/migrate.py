"""Creates or upgrades the embedded database."""

import contextlib
import sqlite3
import time
from pathlib import Path

from pipelet.domain.errors import StoreError
from pipelet.domain.jobs.queue_order import QueueOrder
from pipelet.store import migrations
from pipelet.store.sqlite.connection.group_commit import explain

_LOCK_TIMEOUT_SECONDS = 30.0


def migrate_sqlite(path: Path, folder: Path = migrations.FOLDER, *, order: QueueOrder = QueueOrder.FAIR) -> None:
    """Create or upgrade the database at `path`, in one transaction under the write lock: processes that start together
    take turns, and a migration that is killed leaves the database as it was.

    Args:
        folder: holds the migrations of each dialect.
        order: of the queue, if the database has none yet.

    Raises:
        StoreError: an earlier Pipelet made the database, or SQLite refuses.
    """
    try:
        connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("BEGIN IMMEDIATE")
            try:
                _upgrade(connection, path, folder, order)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {explain(error)}") from error


def schema_version(connection: sqlite3.Connection, path: Path) -> str | None:
    """Return the schema version of a database; None for one without tables.

    Raises:
        StoreError: an earlier Pipelet made it.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if migrations.EARLIER_TABLE in tables:
        raise migrations.earlier_database(str(path))
    if "schema_migration" not in tables:
        return None
    (version,) = connection.execute(migrations.SELECT_VERSION).fetchone()
    return None if version is None else str(version)


def _upgrade(connection: sqlite3.Connection, path: Path, folder: Path, order: QueueOrder) -> None:
    pending = migrations.pending("sqlite", schema_version(connection, path), folder)
    connection.execute(migrations.CREATE_TABLE.format(number="REAL"))
    for version, script in pending.items():
        _run(connection, script)
        connection.execute("INSERT INTO schema_migration VALUES (?, ?)", (version, time.time()))
        if version == migrations.ORDER_VERSION:
            connection.execute(migrations.SET_ORDER.format(order=order))


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Run the statements of `script` one by one: the driver's `executescript` would commit first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
