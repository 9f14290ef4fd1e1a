"""Connections to PostgreSQL: how they are set up, and when a statement is retried."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from pipelet.domain.database_url import hosts_of, name_of, parameter
from pipelet.domain.errors import StoreError
from pipelet.store.postgres.connection.errors import (
    CONNECT_ERRORS,
    CONNECTION_ERRORS,
    OPERATOR_ERRORS,
    POOLER,
    PROGRAMMING_ERRORS,
    to_store_error,
)

Result = TypeVar("Result")
Connection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"

_COMMAND_TIMEOUT = 15.0
"""Seconds without a reply after which the server counts as lost, though the connection may look open for hours."""
_CONNECT_TIMEOUT = 5.0
_RETRY_DELAY = 0.1

_SERVER_SETTINGS = {"application_name": "pipelet"}
_SESSION = "SELECT pg_backend_pid()"
_SETTINGS = """
SET synchronous_commit = off;
SET jit = off;
SET idle_in_transaction_session_timeout = '60s';
"""
"""Commits do not wait for the disk, except for those of `ConnectionPool.run_durable` and `wal_flush.py`."""


class _Broken(Exception):
    """The connection is dead."""


class ConnectionPool:
    """A pool that connects on first use, and again after the server was unavailable.

    Args:
        max_size: maximum connections.
        command_timeout: seconds for which a statement may take.
    """

    def __init__(self, url: str, *, max_size: int, command_timeout: float = _COMMAND_TIMEOUT) -> None:
        self.url = url
        self.max_size = max_size
        self._command_timeout = command_timeout
        self._connect_timeout = min(_CONNECT_TIMEOUT, command_timeout)
        self._connect = partial(connect, hosts=hosts_of(url))
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lend a connection. Errors of its use pass through.

        Raises:
            StoreError: no connection is available.
        """
        try:
            pool = self._pool or await self._open()
            connection = await _acquire(pool, self._connect_timeout * max(1, len(hosts_of(self.url))))
        except CONNECT_ERRORS as error:
            raise to_store_error(error, self.url) from error
        try:
            yield connection
        finally:
            await pool.release(connection)

    async def run(self, use: Callable[[Connection], Awaitable[Result]], *, retry: bool = True) -> Result:
        """Call `use` with a connection, and again if that is dead or if a migration has changed a table.

        `use` may run twice or more, and a run that raised may have taken effect on the server.

        Args:
            retry: call it again, with another connection, after a dead one.

        Raises:
            StoreError: the database cannot be reached, or refuses.
        """
        try:
            # After a restart of the server all connections of the pool may be dead.
            for _ in range(self.max_size if retry else 0):
                with contextlib.suppress(_Broken):
                    return await self._run_once(use)
            return await self._run_once(use)
        except _Broken as error:
            raise to_store_error(error.__cause__ or error, self.url) from error
        except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
            if isinstance(error, PROGRAMMING_ERRORS) and not isinstance(error, OPERATOR_ERRORS):
                raise
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                await self.renew()
            raise to_store_error(error, self.url) from error

    async def _run_once(self, use: Callable[[Connection], Awaitable[Result]]) -> Result:
        async with self.acquire() as connection:
            try:
                try:
                    return await use(connection)
                except asyncpg.InvalidCachedStatementError:
                    # A migration has changed a table. The driver prepares its statements again, but it cannot repeat
                    # a transaction, which the server has rolled back.
                    return await use(connection)
            except CONNECTION_ERRORS as error:
                with contextlib.suppress(asyncpg.InterfaceError):  # the pool has noticed and taken it back
                    connection.terminate()  # or the pool might lend it again
                if isinstance(error, TimeoutError):
                    raise  # the caller has waited long enough
                raise _Broken from error

    async def run_durable(self, use: Callable[[Connection], Awaitable[Result]]) -> Result:
        """As `run`, in one transaction whose commit waits for the disk and for replicas that the server requires."""

        async def transaction(connection: Connection) -> Result:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit TO DEFAULT")
                return await use(connection)

        return await self.run(transaction)

    async def renew(self) -> None:
        """Replace all open connections: after a failover, another server behind the same URL takes writes."""
        if self._pool is not None:
            await self._pool.expire_connections()

    async def dedicated(self) -> "asyncpg.Connection[Any]":
        """Return a connection outside the pool. Errors of its use pass through.

        Raises:
            StoreError: no connection is available.
        """
        connection: asyncpg.Connection[Any] | None = None
        try:
            connection = await self._connect(self.url, timeout=self._connect_timeout, server_settings=_SERVER_SETTINGS)
            await connection.execute(_SETTINGS)
        except BaseException as error:
            if connection is not None:
                connection.terminate()
            if isinstance(error, CONNECT_ERRORS):
                raise to_store_error(error, self.url) from error
            raise
        return connection

    async def reject_transaction_pooling(self) -> None:
        """Check for a pooler that assigns the server's sessions by transaction, so that clients would share prepared
        statements and LISTEN.

        Raises:
            StoreError: there is one.
        """

        async def share_session(one: Connection) -> bool:
            session, other = await one.fetchval(_SESSION), await self.dedicated()
            try:
                # The transaction takes the session that `one` has just released, if a pooler released it.
                async with other.transaction():
                    return bool(session == await other.fetchval(_SESSION))
            finally:
                other.terminate()

        if await self.run(share_session):
            raise StoreError(f"The database at {name_of(self.url)}: {POOLER}")

    async def aclose(self) -> None:
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            await asyncio.wait_for(pool.close(), _CONNECT_TIMEOUT)
        except (TimeoutError, *CONNECTION_ERRORS):  # the server is unreachable; drop the sockets
            pool.terminate()

    async def _open(self) -> "asyncpg.Pool[Any]":
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.url,
                    connect=cast(Any, self._connect),  # the driver's type is narrower than what it accepts
                    min_size=0,
                    max_size=self.max_size,
                    command_timeout=self._command_timeout,
                    timeout=self._connect_timeout,
                    server_settings=_SERVER_SETTINGS,
                    init=_set_up,
                    reset=_no_reset,
                )
            return self._pool


async def connect(url: str, hosts: list[tuple[str, int]], **options: Any) -> "asyncpg.Connection[Any]":
    """Connect to the first of the URL's hosts that takes writes; `timeout` is for each. Errors of the driver pass.

    The driver accepts several hosts, too, but gives all of them together the time of one: after a machine that is
    switched off, it would never try the next.

    Args:
        hosts: those of the URL; the one that is connected moves to the front and is tried first next time.
    """
    if len(hosts) < 2:
        alone: asyncpg.Connection[Any] = await asyncpg.connect(url, **options)
        return alone
    if parameter(url, "target_session_attrs") is None:
        options["target_session_attrs"] = "read-write"
    failure: Exception | None = None
    for host, port in list(hosts):
        try:
            connection: asyncpg.Connection[Any] = await asyncpg.connect(url, host=host, port=port, **options)
        except (asyncpg.PostgresError, *CONNECTION_ERRORS) as error:
            if failure is None or isinstance(failure, OSError):  # a reply says more than no reply
                failure = error
        else:
            hosts.remove((host, port))
            hosts.insert(0, (host, port))
            return connection
    raise failure or OSError("no host")


async def _acquire(pool: "asyncpg.Pool[Any]", seconds: float) -> "PoolConnectionProxy[Any]":
    """Acquire a connection; if the server refuses a new one, wait for one of the pool to become free."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await pool.acquire(timeout=seconds)
        except asyncpg.TooManyConnectionsError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_RETRY_DELAY)


async def _set_up(connection: Connection) -> None:
    # Not among the startup parameters, which poolers refuse.
    await connection.execute(_SETTINGS)


async def _no_reset(_: Connection) -> None:
    """Do nothing: asyncpg's own reset takes a round trip and would undo `_SETTINGS`. No use leaves state behind."""
