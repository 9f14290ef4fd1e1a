"""The embedded store: one SQLite file, written by group commit, read in place.

Reads run on the caller's thread and take microseconds: every query walks an index to a bounded number of rows.
"""

import asyncio
import contextlib
import sqlite3
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pipelet.domain.clock import SystemClock
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
from pipelet.store.reports import Reports
from pipelet.store.sqlite import migrate
from pipelet.store.sqlite.connection.connect import (
    connect,
    forget_statistics,
    require_space,
    truncate_log,
)
from pipelet.store.sqlite.connection.group_commit import GroupCommit, explain
from pipelet.store.sqlite.connection.notifier import LocalNotifier
from pipelet.store.sqlite.connection.queries import SqliteQueries
from pipelet.store.sqlite.history import SqliteHistory
from pipelet.store.sqlite.jobs import SqliteJobs
from pipelet.store.sqlite.leases import SqliteLeases
from pipelet.store.sqlite.outbox import SqliteOutbox
from pipelet.store.sqlite.queue import SqliteQueue
from pipelet.store.sqlite.uploads import SqliteUploads
from pipelet.store.sqlite.usage import SqliteUsage
from pipelet.store.sqlite.workers import SqliteWorkers
from pipelet.system.permissions import PRIVATE, Permissions


class SqliteStore:
    """Implements `domain.ports.store.Store`. Open it with `open_sqlite`."""

    def __init__(self, path: Path, reader: sqlite3.Connection, permissions: Permissions) -> None:
        self.clock: Clock = SystemClock()
        self._path = path
        self._reader = reader
        self._reader.execute("PRAGMA query_only = ON")
        self._work_notifier = LocalNotifier(path, permissions=permissions)
        self._change_notifier = LocalNotifier(path, channel="-changes", permissions=permissions)
        self._writer = GroupCommit(
            connect(path), on_work=self._work_notifier.notify, on_change=self._change_notifier.notify
        )
        self._queries = queries = SqliteQueries(self._reader, self._writer)
        self.jobs: JobStore = (jobs := SqliteJobs(queries))
        self.history: JobHistory = SqliteHistory(queries, forget=jobs.forget)
        self.files: FileStore = Files(queries)
        self.uploads: UploadStore = SqliteUploads(queries)
        self.queue: QueueStore = SqliteQueue(queries)
        self.leases: LeaseStore = SqliteLeases(queries)
        self.api_keys: ApiKeyStore = ApiKeys(queries)
        self.limits: LimitStore = Limits(queries)
        self.sessions: SessionStore = Sessions(queries)
        self.audit: AuditStore = Audit(queries)
        self.workers: WorkerStore = SqliteWorkers(queries)
        self.outbox: Outbox = SqliteOutbox(queries)
        self.usage: UsageStore = SqliteUsage(queries)
        self.reports: ReportStore = Reports(queries)
        self.changes: ChangeStore = Changes(queries)
        self.previews: PreviewStore = Previews(queries)
        self.newest_requests: NewestRequestStore = NewestRequests(queries)

    async def check(self) -> None:
        require_space(self._path)
        # Nothing changes, so no watcher is notified and nothing has to reach the disk.
        await self._queries.write("check_writable", {}, durable=False, notify_watchers=False)

    async def truncate_log(self) -> None:
        await asyncio.to_thread(truncate_log, self._path)

    def subscribe_work(self) -> AbstractAsyncContextManager[asyncio.Event]:
        return self._work_notifier.listen()

    def subscribe_changes(self) -> AbstractAsyncContextManager[asyncio.Event]:
        return self._change_notifier.listen()

    def close(self) -> None:
        """Close the database; a commit under way is finished first."""
        self._writer.close()
        self._reader.close()
        self._work_notifier.close()
        self._change_notifier.close()


def open_sqlite(path: Path, permissions: Permissions = PRIVATE) -> SqliteStore:
    """Open a database that `migrate_sqlite` has prepared.

    Raises:
        SchemaTooNew: a newer version of Pipelet migrated it.
        StoreError: it is missing, older than this version, not a database, or cannot be opened.
    """
    if not path.exists():
        raise StoreError(f"There is no database at {path}. Create it with `pipelet migrate`.")
    with contextlib.ExitStack() as undo:
        try:
            # What a new connection takes is to read the schema: the one that has read it stays.
            reader = undo.enter_context(contextlib.closing(connect(path)))
            migrations.require_current(migrate.schema_version(reader, path), str(path))
            forget_statistics(reader)
            store = SqliteStore(path, reader, permissions)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {explain(error)}") from error
        undo.pop_all()
    return store


def schema_version(path: Path) -> str | None:
    """Return the schema version of a database; None for one without tables.

    Raises:
        StoreError: it cannot be read, or an earlier Pipelet made it.
    """
    try:
        with contextlib.closing(connect(path)) as connection:
            return migrate.schema_version(connection, path)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {explain(error)}") from error
