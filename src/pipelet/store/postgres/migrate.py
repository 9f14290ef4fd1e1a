"""Creates or upgrades the shared database."""

import asyncio
import time
from pathlib import Path

import asyncpg

from pipelet.domain.database_url import hosts_of, name_of
from pipelet.domain.errors import StoreError
from pipelet.domain.jobs.queue_order import QueueOrder
from pipelet.store import migrations
from pipelet.store.postgres.connection.errors import (
    CONNECT_ERRORS,
    CONNECTION_ERRORS,
    OPERATOR_ERRORS,
    PROGRAMMING_ERRORS,
    to_store_error,
)
from pipelet.store.postgres.connection.pool import Connection, connect

_LOCK = 0x50495045  # "PIPE": any number that no other program uses
_CONNECT_TIMEOUT = 10.0
_MAX_ATTEMPTS = 5
"""Processes that work at the same time lock the same tables in another order, and PostgreSQL ends one of two
transactions that wait for each other."""


def migrate_postgres(url: str, folder: Path = migrations.FOLDER, *, order: QueueOrder = QueueOrder.FAIR) -> None:
    """Create or upgrade the tables, in one transaction under a lock: processes that start together take turns, and a
    migration that is killed leaves the database as it was.

    Args:
        folder: holds the migrations of each dialect.
        order: of the queue, if the database has none yet.

    Raises:
        StoreError: the database cannot be reached, refuses, is too busy, or was made by an earlier Pipelet.
    """
    for _ in range(_MAX_ATTEMPTS):
        try:
            return asyncio.run(_migrate(url, folder, order))
        except asyncpg.DeadlockDetectedError:
            continue
        except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
            if isinstance(error, PROGRAMMING_ERRORS) and not isinstance(error, OPERATOR_ERRORS):
                raise
            raise to_store_error(error, url) from error
    raise StoreError(
        f"The database is too busy to be migrated: {_MAX_ATTEMPTS} deadlocks with other processes. "
        "Run `pipelet migrate` again, or stop the workers first."
    )


async def schema_version(connection: Connection, url: str) -> str | None:
    """Return the schema version of a database; None for one without tables.

    Raises:
        StoreError: an earlier Pipelet made it.
    """
    if await connection.fetchval("SELECT to_regclass($1)", migrations.EARLIER_TABLE) is not None:
        raise migrations.earlier_database(name_of(url))
    if await connection.fetchval("SELECT to_regclass('schema_migration')") is None:
        return None
    version: str | None = await connection.fetchval(migrations.SELECT_VERSION)
    return version


async def _migrate(url: str, folder: Path, order: QueueOrder) -> None:
    try:
        connection = await connect(url, hosts_of(url), timeout=_CONNECT_TIMEOUT)
    except CONNECT_ERRORS as error:
        raise to_store_error(error, url) from error
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            pending = migrations.pending("postgresql", await schema_version(connection, url), folder)
            await connection.execute(migrations.CREATE_TABLE.format(number="double precision"))
            for version, script in pending.items():
                await connection.execute(script)
                await connection.execute("INSERT INTO schema_migration VALUES ($1, $2)", version, time.time())
                if version == migrations.ORDER_VERSION:
                    await connection.execute(migrations.SET_ORDER.format(order=order))
    finally:
        connection.terminate()
