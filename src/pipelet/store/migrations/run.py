"""Brings a database to the newest revision."""

import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, create_engine, event


def migrate_sqlite(path: Path) -> None:
    """Create or upgrade the database at `path`, in one transaction under the write lock: processes that start together
    take turns, and one that is killed in between leaves the database as it was."""
    engine = create_engine(URL.create("sqlite", database=str(path)))
    _begin_immediately(engine)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _begin_immediately(engine: Engine) -> None:
    """The driver's own transaction control commits before schema changes; ours must hold all of them."""

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA busy_timeout = 30000")

    @event.listens_for(engine, "begin")
    def _(connection) -> None:  # type: ignore[no-untyped-def]
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def statements(dialect: str, name: str) -> Iterator[str]:
    """The statements of a migration's SQL file, one by one: a script run as a whole would commit on its own."""
    text = (files("pipelet.store.migrations") / "sql" / dialect / f"{name}.sql").read_text("utf-8")
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
