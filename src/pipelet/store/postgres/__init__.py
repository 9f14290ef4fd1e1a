"""The shared store: any number of API processes and workers over one PostgreSQL database, version 15 or newer.

Every change is one statement, and so one transaction and one round trip, wherever that is possible.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from pipelet.domain.database_url import name_of
from pipelet.domain.errors import StoreError
from pipelet.domain.ports.accounts import ApiKeyStore, AuditStore, SessionStore
from pipelet.domain.ports.changes import ChangeStore
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.history import JobHistory
from pipelet.domain.ports.limits import LimitStore
from pipelet.domain.ports.newest_requests import NewestRequestStore
from pipelet.domain.ports.outbox import Outbox
from pipelet.domain.ports.previews import PreviewStore
from pipelet.domain.ports.reports import ReportStore
from pipelet.domain.ports.store import FileStore, JobStore, LeaseStore, QueueStore, WorkerStore
from pipelet.domain.ports.uploads import UploadStore
from pipelet.domain.ports.usage import UsageStore
from pipelet.store import migrations
from pipelet.store.accounts.api_keys import ApiKeys
from pipelet.store.accounts.audit import Audit
from pipelet.store.accounts.limits import Limits
from pipelet.store.accounts.sessions import Sessions
from pipelet.store.changes import Changes
from pipelet.store.files import Files
from pipelet.store.images.previews import Previews
from pipelet.store.newest_requests import NewestRequests
from pipelet.store.postgres import migrate
from pipelet.store.postgres.connection import checks
from pipelet.store.postgres.connection.clock import DatabaseClock
from pipelet.store.postgres.connection.notifier import PostgresNotifier
from pipelet.store.postgres.connection.pool import Connection, ConnectionPool
from pipelet.store.postgres.connection.queries import PostgresQueries
from pipelet.store.postgres.history import PostgresHistory
from pipelet.store.postgres.jobs import PostgresJobs
from pipelet.store.postgres.leases import PostgresLeases
from pipelet.store.postgres.outbox import PostgresOutbox
from pipelet.store.postgres.queue import PostgresQueue
from pipelet.store.postgres.uploads import PostgresUploads
from pipelet.store.postgres.usage import PostgresUsage
from pipelet.store.postgres.workers import PostgresWorkers
from pipelet.store.reports import Reports

_OLDEST_SERVER = 15
_CHANGES_INTERVAL = 0.1
"""Seconds. A fast worker reports progress hundreds of times a second, and no client reads that fast."""


class PostgresStore:
    """Implements `domain.ports.store.Store`. Open it with `open_postgres`."""

    def __init__(self, pool: ConnectionPool, clock: Clock) -> None:
        self.clock = clock
        self._pool = pool
        self._work_notifier = work = PostgresNotifier(pool, "pipelet_work")
        self._change_notifier = changes = PostgresNotifier(pool, "pipelet_changes", interval=_CHANGES_INTERVAL)
        queries = PostgresQueries(pool, work=work, changes=changes)
        self.jobs: JobStore = PostgresJobs(queries)
        self.history: JobHistory = PostgresHistory(queries)
        self.files: FileStore = Files(queries)
        self.uploads: UploadStore = PostgresUploads(queries)
        self.queue: QueueStore = PostgresQueue(queries)
        self.leases: LeaseStore = PostgresLeases(queries)
        self.api_keys: ApiKeyStore = ApiKeys(queries)
        self.limits: LimitStore = Limits(queries)
        self.sessions: SessionStore = Sessions(queries)
        self.audit: AuditStore = Audit(queries)
        self.workers: WorkerStore = PostgresWorkers(queries)
        self.outbox: Outbox = PostgresOutbox(queries)
        self.usage: UsageStore = PostgresUsage(queries)
        self.reports: ReportStore = Reports(queries)
        self.changes: ChangeStore = Changes(queries)
        self.previews: PreviewStore = Previews(queries)
        self.newest_requests: NewestRequestStore = NewestRequests(queries)

    async def check(self) -> None:
        await checks.require_setup(self._pool)
        await checks.require_space(self._pool)

    async def truncate_log(self) -> None:
        """Do nothing: the server truncates its own log."""

    def subscribe_work(self) -> AbstractAsyncContextManager[asyncio.Event]:
        return self._work_notifier.listen()

    def subscribe_changes(self) -> AbstractAsyncContextManager[asyncio.Event]:
        return self._change_notifier.listen()

    async def close(self) -> None:
        """Send the notifications that are due. No call may be under way."""
        await asyncio.gather(self._work_notifier.close(), self._change_notifier.close())


@contextlib.asynccontextmanager
async def open_postgres(url: str, *, pool_size: int, writes: bool = False) -> AsyncIterator[PostgresStore]:
    """Open a database that `migrate_postgres` has prepared.

    Args:
        pool_size: maximum connections.
        writes: a service opens it: refuse a database that is read-only or not set up for its user.

    Raises:
        SchemaTooNew: a newer version of Pipelet migrated it.
        StoreError: it cannot be reached, refuses, or is older than this version.
    """
    async with contextlib.aclosing(ConnectionPool(url, max_size=pool_size)) as pool:
        migrations.require_current(await _schema_version(pool), name_of(url))
        await pool.reject_transaction_pooling()
        if writes:
            await checks.require_setup(pool)
        clock = DatabaseClock(pool)
        await clock.sync()
        syncing = asyncio.create_task(clock.sync_forever())
        store = PostgresStore(pool, clock)
        try:
            yield store
        finally:
            syncing.cancel()
            await store.close()


async def schema_version(url: str) -> str | None:
    """Return the schema version of a database; None for one without tables.

    Raises:
        StoreError: it cannot be read, or an earlier Pipelet made it.
    """
    async with contextlib.aclosing(ConnectionPool(url, max_size=1)) as pool:
        return await _schema_version(pool)


async def require_creatable(url: str) -> None:
    """Check that `migrate_postgres` can create its tables.

    Raises:
        StoreError: it cannot.
    """
    async with contextlib.aclosing(ConnectionPool(url, max_size=1)) as pool:
        await checks.require_creatable(pool)


async def _schema_version(pool: ConnectionPool) -> str | None:
    async def read(connection: Connection) -> str | None:
        major = connection.get_server_version().major
        if major < _OLDEST_SERVER:
            raise StoreError(
                f"The database runs PostgreSQL {major}; Pipelet needs {_OLDEST_SERVER} or newer. Upgrade the server."
            )
        if (encoding := connection.get_settings().server_encoding) != "UTF8":
            raise StoreError(
                f"The database at {name_of(pool.url)} is encoded in {encoding}, which cannot hold every prompt. "
                "Create one with ENCODING 'UTF8' TEMPLATE template0."
            )
        return await migrate.schema_version(connection, pool.url)

    return await pool.run(read)
