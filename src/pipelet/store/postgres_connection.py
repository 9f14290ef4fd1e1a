"""Connections to PostgreSQL: how they are set up, when a statement is sent again, and what an error means."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from pipelet.domain.errors import StoreAway, StoreUnusable

Result = TypeVar("Result")
Connection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"

_ANSWER_SECONDS = 15.0
"""Whoever does not answer for so long is gone, though the connection may look open for hours."""
_CONNECT_SECONDS = 5.0
_PAUSE = 0.1

AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection has been closed, or is closed while it is used
    asyncpg.InternalClientError,  # so the driver says where the server's good-bye arrives just when it is used
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    OSError,
    TimeoutError,
)
"""What a server that restarts, dies or is cut off looks like from here."""
_REFUSALS = (asyncpg.ClientConfigurationError, ssl.SSLError)
"""They are among `AWAY` by their ancestors, and last until somebody mends the URL or a certificate."""
_OUR_FAULT = (asyncpg.SyntaxOrAccessError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
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
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection for a while. Errors of the database pass through."""
        pool = self._pool or await self._open()
        connection = await _borrow(pool, self._connect_seconds)
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
            if isinstance(error, _OUR_FAULT) and not isinstance(error, _OPERATORS):
                raise
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

    async def alone(self) -> "asyncpg.Connection[Any]":
        """A connection outside of the pool. Errors of the database pass through."""
        connection = await asyncpg.connect(self.url, timeout=_CONNECT_SECONDS, server_settings=_name())
        await connection.execute(_SETTINGS)
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
            raise StoreUnusable(f"The database at {_where(self.url)}: {_POOLER}")

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
                    min_size=0,
                    max_size=self.most,
                    command_timeout=self._answer_seconds,
                    timeout=self._connect_seconds,
                    server_settings=_name(),
                    init=_set_up,
                    reset=_leave,
                )
            return self._pool


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


_OPERATORS = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
_POOLER = (
    "a pooler seems to stand before it in transaction mode. Pipelet needs session mode (pool_mode = session), or a "
    "direct connection."
)
_ADVICE: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "it refused the user or the password. Check PIPELET_DATABASE_URL, and pg_hba.conf on the server.",
    ),
    (
        asyncpg.InvalidCatalogNameError,
        "there is no such database. Create it (createdb), or name another in PIPELET_DATABASE_URL.",
    ),
    (
        asyncpg.TooManyConnectionsError,
        "it has no connection left. Raise max_connections there, or lower PIPELET_DATABASE_CONNECTIONS here; "
        "docs/operating.md tells how many are needed.",
    ),
    (asyncpg.DiskFullError, "its disk is full. Free some space there; requests are accepted again at once."),
    (
        asyncpg.ReadOnlySQLTransactionError,
        "it is read-only: a standby, or full. Name the primary server in PIPELET_DATABASE_URL.",
    ),
    (asyncpg.InsufficientPrivilegeError, "the user may not do that. Grant it the rights on Pipelet's tables."),
    ((asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError), "its tables do not fit. Run `pipelet migrate`."),
    ((asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError), _POOLER),
    (
        ssl.SSLCertVerificationError,
        "its certificate is not one that sslrootcert in PIPELET_DATABASE_URL vouches for, or is for another host. Name "
        "the file of the authority that signed it, and the server as the certificate does.",
    ),
    (ssl.SSLError, "TLS could not be agreed on. Check sslmode in PIPELET_DATABASE_URL, and ssl on the server."),
    (asyncpg.ClientConfigurationError, "PIPELET_DATABASE_URL cannot be used. Check its parts and the files it names."),
    (
        FileNotFoundError,
        "a file is missing: the socket of a server that is stopped, or a certificate that PIPELET_DATABASE_URL names.",
    ),
    (asyncpg.CannotConnectNowError, "it is starting or stopping. Nothing needs to be done if that ends soon."),
    (TimeoutError, "it does not answer, or all connections are busy. Look at its load and at the network."),
    (AWAY, "it cannot be reached. Check that it runs, and the host and port in PIPELET_DATABASE_URL."),
)


def unusable(error: BaseException, url: str) -> StoreUnusable:
    """StoreAway where waiting may help."""
    may_pass = isinstance(error, (*AWAY, asyncpg.TooManyConnectionsError)) and not isinstance(error, _REFUSALS)
    return (StoreAway if may_pass else StoreUnusable)(explain(error, url))


def explain(error: BaseException, url: str) -> str:
    """What an error of the database means for the operator. It never shows the password."""
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "it refused.")
    words = str(error) or type(error).__name__
    return f"The database at {_where(url)}: {advice} (It says: {words})"


def _where(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
