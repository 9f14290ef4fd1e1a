"""The database: opening, creating and migrating it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from pipelet.domain.jobs.queue_order import QueueOrder
from pipelet.domain.ports.store import Store
from pipelet.settings import Settings
from pipelet.store.migrations import HEAD
from pipelet.store.sqlite import open_sqlite, schema_version
from pipelet.store.sqlite.migrate import migrate_sqlite
from pipelet.wiring.data_dir import create_database_file, permissions_of, prepare_data_dir


@contextlib.asynccontextmanager
async def open_store(settings: Settings, *, writes: bool = False) -> AsyncIterator[Store]:
    """Open the store.

    Args:
        writes: refuse a shared database that cannot be written, because a service cannot use it.
    """
    if settings.postgres_url:
        from pipelet.store.postgres import open_postgres  # SQLite does not need the driver

        async with open_postgres(settings.postgres_url, pool_size=settings.database_pool_size, writes=writes) as shared:
            yield shared
        return
    permissions = permissions_of(settings)
    permissions.refuse_foreign(settings.database_path)
    embedded = open_sqlite(settings.database_path, permissions)
    try:
        yield embedded
    finally:
        embedded.close()


def migrate(settings: Settings) -> str:
    """Bring the database to this version's schema. Return the revision that it then has."""
    prepare_data_dir(settings)
    version = schema_revision(settings)
    if version is None or version < HEAD:
        if settings.postgres_url:
            from pipelet.store.postgres.migrate import migrate_postgres

            migrate_postgres(settings.postgres_url, order=QueueOrder(settings.queue_order))
        else:
            create_database_file(settings)
            migrate_sqlite(settings.database_path, order=QueueOrder(settings.queue_order))
    return HEAD


def schema_revision(settings: Settings) -> str | None:
    """Return the current revision of the database; None if it is missing or empty."""
    if settings.postgres_url:
        from pipelet.store import postgres

        return asyncio.run(postgres.schema_version(settings.postgres_url))
    permissions_of(settings).refuse_foreign(settings.database_path)
    return schema_version(settings.database_path) if settings.database_path.exists() else None


def check_writable(settings: Settings) -> None:
    """Refuse a database of a newer version, and one that cannot be written."""

    async def check() -> None:
        async with open_store(settings, writes=True) as store:
            await store.check()

    asyncio.run(check())


def require_creatable(settings: Settings) -> None:
    """Check that `migrate` can create its tables in an empty database.

    Raises:
        StoreError: it cannot.
    """
    if settings.postgres_url:
        from pipelet.store import postgres

        asyncio.run(postgres.require_creatable(settings.postgres_url))
