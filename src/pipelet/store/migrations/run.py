"""Brings a database to the newest revision."""

import asyncio
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from pipelet.domain.database_url import hosts_of
from pipelet.domain.errors import StoreUnusable
from pipelet.store.postgres_connection import connect
from pipelet.store.postgres_errors import CONNECTING, OPERATORS, OUR_FAULT, unusable

_LOCK = 0x50495045  # "PIPE": any number that nobody else takes
_CONNECT_SECONDS = 10.0
_TRIES = 5
"""Processes that work meanwhile take the same tables in another order, and PostgreSQL ends one of two who wait for each
other."""


def migrate_sqlite(path: Path) -> None:
    """Create or upgrade the database at `path`, in one transaction under the write lock: processes that start together
    take turns, and one that is killed in between leaves the database as it was."""
    engine = create_engine(URL.create("sqlite", database=str(path)))
    _begin_immediately(engine)
    try:
        with engine.begin() as connection:
            _upgrade(connection)
    finally:
        engine.dispose()


def migrate_postgres(url: str) -> None:
    """Create or upgrade the tables, in one transaction under a lock: processes that start together take turns, and one
    that is killed in between leaves the database as it was.

    Raises:
        StoreUnusable: it cannot be reached, refuses, or is too busy.
    """
    for _ in range(_TRIES):
        try:
            return asyncio.run(_migrate_postgres(url))
        except DBAPIError as error:  # the driver's own error is the cause of one that SQLAlchemy's adapter raised
            cause = error.orig.__cause__ if error.orig is not None else None
            if isinstance(cause, asyncpg.DeadlockDetectedError):
                continue
            if cause is None or (isinstance(cause, OUR_FAULT) and not isinstance(cause, OPERATORS)):
                raise
            raise unusable(cause, url) from error
    raise StoreUnusable(
        f"The database is too busy to be brought up to date: {_TRIES} times it gave way to others who work in it. Run "
        "`pipelet migrate` again, or stop workers before."
    )


async def _migrate_postgres(url: str) -> None:
    async def opened() -> "asyncpg.Connection[Any]":
        try:
            return await connect(url, hosts_of(url), timeout=_CONNECT_SECONDS)
        except CONNECTING as error:
            raise unusable(error, url) from error

    # The driver reads the URL, not SQLAlchemy, whose idea of one differs.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=opened)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _begin_immediately(engine: Engine) -> None:
    """The driver's own transaction control commits before schema changes; ours must hold all of them."""

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA secure_delete = ON")

    @event.listens_for(engine, "begin")
    def _(connection) -> None:  # type: ignore[no-untyped-def]
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def statements(dialect: str, name: str) -> Iterator[str]:
    """The statements of a migration's SQL file, one by one: PostgreSQL's driver takes them so, and SQLite's commits
    after a script."""
    text = (files("pipelet.store.migrations") / "sql" / dialect / f"{name}.sql").read_text("utf-8")
    is_complete = sqlite3.complete_statement if dialect == "sqlite" else _is_complete
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if is_complete(statement):
            yield statement
            statement = ""


def _is_complete(statement: str) -> bool:
    """A semicolon at a line's end, outside of comments and of a function's body."""
    line = statement.rstrip().rpartition("\n")[2]
    return line.endswith(";") and not line.startswith("--") and statement.count("$$") % 2 == 0
