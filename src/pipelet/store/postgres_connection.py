"""Connections to PostgreSQL: how they are set up, and when a statement is sent again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from pipelet.domain.database_url import hosts_of, name_of, parameter
from pipelet.domain.errors import StoreUnusable
from pipelet.store.postgres_errors import AWAY, CONNECTING, OPERATORS, OUR_FAULT, POOLER, unusable

Result = TypeVar("Result")
Connection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"

_ANSWER_SECONDS = 15.0
"""Whoever does not answer for so long is gone, though the connection may look open for hours."""
_CONNECT_SECONDS = 5.0
_PAUSE = 0.1

_SESSION = "SELECT pg_backend_pid()"
_SETTINGS = """
SET synchronous_commit = off;
SET jit = off;
SET idle_in_transaction_session_timeout = '60s';
"""
"""Commits do not wait for the disk; those that must, say so: see `Connections.durably` and `store/wal_flush.py`."""


class _Broken(Exception):
    """A connection turned out to be dead."""


class Connections:
    """A pool that connects when it is first used, and again after the server was away."""

    def __init__(self, url: str, *, most: int, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self.url = url
        self._answer_seconds = answer_seconds
        self._connect_seconds = min(_CONNECT_SECONDS, answer_seconds)
        self.most = most
        self._connect = partial(connect, hosts=hosts_of(url))
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection for a while. Errors of its use pass through.

        Raises:
            StoreUnusable: none is to be had.
        """
        try:
            pool = self._pool or await self._open()
            connection = await _borrow(pool, self._connect_seconds * max(1, len(hosts_of(self.url))))
        except CONNECTING as error:
            raise unusable(error, self.url) from error
        try:
            yield connection
        finally:
            await pool.release(connection)

    async def run(self, use: Callable[[Connection], Awaitable[Result]], *, again: bool = True) -> Result:
        """Hand `use` a connection. If that turns out to be dead, do so once more with another, unless `again` is False:
        `use` may run twice or more, and a run that raised may have come to its end unheard.

        Raises:
            StoreUnusable: the database cannot be reached, or refuses.
        """
        try:
            # After a restart of the server all that the pool holds may be dead.
            for _ in range(self.most if again else 0):
                with contextlib.suppress(_Broken):
                    return await self._run_once(use)
            return await self._run_once(use)
        except _Broken as error:
            raise unusable(error.__cause__ or error, self.url) from error
        except (asyncpg.PostgresError, *AWAY) as error:
            if isinstance(error, OUR_FAULT) and not isinstance(error, OPERATORS):
                raise
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                await self.renew()
            raise unusable(error, self.url) from error

    async def _run_once(self, use: Callable[[Connection], Awaitable[Result]]) -> Result:
        async with self.acquire() as connection:
            try:
                return await use(connection)
            except AWAY as error:
                with contextlib.suppress(asyncpg.InterfaceError):  # the pool has noticed, and taken it back
                    connection.terminate()  # or the pool might lend it once more
                if isinstance(error, TimeoutError):
                    raise  # whoever asked has waited long enough
                raise _Broken from error

    async def durably(self, use: Callable[[Connection], Awaitable[Result]]) -> Result:
        """As `run`, in one transaction whose commit waits for the disk, and for replicas if the server is set up so."""

        async def transaction(connection: Connection) -> Result:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit TO DEFAULT")
                return await use(connection)

        return await self.run(transaction)

    async def renew(self) -> None:
        """Let no open connection be used again: after a failover, another server behind the same URL takes writes."""
        if self._pool is not None:
            await self._pool.expire_connections()

    async def alone(self) -> "asyncpg.Connection[Any]":
        """A connection outside of the pool. Errors of its use pass through.

        Raises:
            StoreUnusable: none is to be had.
        """
        try:
            connection = await self._connect(self.url, timeout=self._connect_seconds, server_settings=_name())
        except CONNECTING as error:
            raise unusable(error, self.url) from error
        try:
            await connection.execute(_SETTINGS)
        except CONNECTING as error:
            connection.terminate()
            raise unusable(error, self.url) from error
        return connection

    async def refuse_pooling_by_transaction(self) -> None:
        """
        Raises:
            StoreUnusable: a pooler lends the server's sessions out by transaction: what one of us prepares or listens
                for would be another's.
        """

        async def meet(one: Connection) -> bool:
            session, other = await one.fetchval(_SESSION), await self.alone()
            try:
                async with other.transaction():  # takes the session that `one` has just given back, if it has
                    return bool(session == await other.fetchval(_SESSION))
            finally:
                other.terminate()

        if await self.run(meet):
            raise StoreUnusable(f"The database at {name_of(self.url)}: {POOLER}")

    async def close(self) -> None:
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            await asyncio.wait_for(pool.close(), _CONNECT_SECONDS)
        except (TimeoutError, *AWAY):  # a server that is away says no good-bye
            pool.terminate()

    async def _open(self) -> "asyncpg.Pool[Any]":
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.url,
                    connect=cast(Any, self._connect),  # the driver's types say less of it than it takes
                    min_size=0,
                    max_size=self.most,
                    command_timeout=self._answer_seconds,
                    timeout=self._connect_seconds,
                    server_settings=_name(),
                    init=_set_up,
                    reset=_leave,
                )
            return self._pool


async def connect(url: str, hosts: list[tuple[str, int]], **options: Any) -> "asyncpg.Connection[Any]":
    """To the first of the URL's hosts that takes writes; `timeout` is for each. Errors of the driver pass through.

    The driver takes several hosts, too, but gives all together the time of one: behind a machine that is switched off,
    it would never come to the next.

    Args:
        hosts: those of the URL; the one that is taken is moved to the front, and tried first the next time.
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
        except (asyncpg.PostgresError, *AWAY) as error:
            if failure is None or isinstance(
                failure, OSError
            ):  # a server that answers tells more than one that does not
                failure = error
        else:
            hosts.remove((host, port))
            hosts.insert(0, (host, port))
            return connection
    raise failure or OSError("no host")


async def _borrow(pool: "asyncpg.Pool[Any]", seconds: float) -> "PoolConnectionProxy[Any]":
    """Where the server gives us no further connection, one of those that we have will soon be free."""
    give_up_at = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await pool.acquire(timeout=seconds)
        except asyncpg.TooManyConnectionsError:
            if asyncio.get_running_loop().time() > give_up_at:
                raise
            await asyncio.sleep(_PAUSE)


def _name() -> dict[str, str]:
    return {"application_name": "pipelet"}


async def _set_up(connection: Connection) -> None:
    # Not among the startup parameters, which poolers refuse.
    await connection.execute(_SETTINGS)


async def _leave(_: Connection) -> None:
    """asyncpg's own reset takes a trip to the server, and would undo `_SETTINGS`. Nothing of ours outlives its use."""
