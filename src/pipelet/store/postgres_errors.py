"""What an error of PostgreSQL or of its driver means for the operator."""

import ssl

import asyncpg

from pipelet.domain.database_url import name_of, parameter
from pipelet.domain.errors import StoreAway, StoreUnusable

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
CONNECTING = (asyncpg.PostgresError, *AWAY, ValueError, KeyError)
"""What connecting may raise. The last two: what the driver says to parts of a URL, and without a user's name."""
_REFUSALS = (asyncpg.ClientConfigurationError, ssl.SSLError)
"""They are among `AWAY` by their ancestors, and last until the URL or a certificate is corrected."""
OUR_FAULT = (asyncpg.SyntaxOrAccessError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
OPERATORS = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateFunctionError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
"""Among `OUR_FAULT` by their ancestors, and caused by how the database is set up."""
POOLER = (
    "a pooler seems to stand before it in transaction mode. Pipelet needs session mode (pool_mode = session), or a "
    "direct connection."
)
READ_ONLY = "it is read-only: a standby, or full. Name the primary server in PIPELET_DATABASE_URL."
NO_SCHEMA = (
    "no schema of its search_path exists. Create it (CREATE SCHEMA ... AUTHORIZATION ...), or change search_path."
)
_NO_TLS = "TLS could not be agreed on. Check sslmode in PIPELET_DATABASE_URL, and ssl on the server."
_ADVICE: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "it refused the user or the password. Check PIPELET_DATABASE_URL, where special characters of a password must "
        "be percent-encoded, and pg_hba.conf on the server.",
    ),
    (
        asyncpg.InvalidCatalogNameError,
        "there is no such database. Create it (createdb), or name another in PIPELET_DATABASE_URL.",
    ),
    (
        asyncpg.TooManyConnectionsError,
        "it has no connection left. Raise max_connections there, or the CONNECTION LIMIT of the role or the database, "
        "or lower PIPELET_DATABASE_CONNECTIONS here; docs/operating.md tells how many are needed.",
    ),
    (asyncpg.DiskFullError, "its disk is full. Free some space there; requests are accepted again at once."),
    (asyncpg.ReadOnlySQLTransactionError, READ_ONLY),
    (
        asyncpg.TargetServerAttributeNotMatched,
        "none of these servers takes writes. Name the primary server in PIPELET_DATABASE_URL, too.",
    ),
    (
        asyncpg.InsufficientPrivilegeError,
        "the user may not do that. Make it the owner (ALTER DATABASE ... OWNER TO ...), or grant it CREATE and USAGE "
        "on the schema and all rights on Pipelet's tables.",
    ),
    (asyncpg.InvalidSchemaNameError, NO_SCHEMA),
    (
        (asyncpg.DuplicateTableError, asyncpg.DuplicateFunctionError),
        "another program's tables stand where Pipelet's are to be. Give Pipelet a database of its own, or a schema "
        "(?search_path=... in PIPELET_DATABASE_URL).",
    ),
    ((asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError), "its tables do not fit. Run `pipelet migrate`."),
    ((asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError), POOLER),
    (
        (asyncpg.UndefinedObjectError, asyncpg.CantChangeRuntimeParamError, asyncpg.InvalidParameterValueError),
        "it does not take a parameter of PIPELET_DATABASE_URL. Remove it there, after the ?.",
    ),
    (
        ssl.SSLCertVerificationError,
        "its certificate is not one that sslrootcert in PIPELET_DATABASE_URL vouches for, or is for another host. Name "
        "the file of the authority that signed it, and the server as the certificate does.",
    ),
    (ssl.SSLError, _NO_TLS),
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
    refuses = isinstance(error, _REFUSALS) or _lacks_tls(error, url)
    may_pass = isinstance(error, (*AWAY, asyncpg.TooManyConnectionsError)) and not refuses
    return (StoreAway if may_pass else StoreUnusable)(explain(error, url))


def _lacks_tls(error: BaseException, url: str) -> bool:
    """A server without TLS, where the URL demands it, is not away; the driver has no type for that."""
    return "rejected SSL upgrade" in str(error) and parameter(url, "sslmode") in ("require", "verify-ca", "verify-full")


def explain(error: BaseException, url: str) -> str:
    """What an error of the database means for the operator. It never shows the password."""
    where = f"The database at {name_of(url)}"
    # Checked before the table: ClientConfigurationError is a ValueError, too, whose words are the driver's own.
    if isinstance(error, (ValueError, KeyError)) and not isinstance(error, (asyncpg.InterfaceError, OSError)):
        return f"{where}: PIPELET_DATABASE_URL cannot be used. Check its parts, and that it names a user."
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "it refused. Its log may say more.")
    if _lacks_tls(error, url):
        advice = _NO_TLS
    words = str(error) or type(error).__name__
    return f"{where}: {advice} (It says: {words})"
