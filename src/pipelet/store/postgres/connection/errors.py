"""What an error of PostgreSQL or of its driver means for the operator."""

import ssl

import asyncpg

from pipelet.domain.database_url import name_of, parameter
from pipelet.domain.errors import StoreError, StoreUnavailable

CONNECTION_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection was closed, before or during its use
    asyncpg.InternalClientError,  # raised if the server closes the connection at the moment of its use
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    OSError,
    TimeoutError,
)
"""Raised if the server restarts, dies or is cut off."""
CONNECT_ERRORS = (asyncpg.PostgresError, *CONNECTION_ERRORS, ValueError, KeyError)
"""Raised by connecting. The driver raises the last two for an invalid URL, or one without a user."""
_CONFIG_ERRORS = (asyncpg.ClientConfigurationError, ssl.SSLError)
"""Members of `CONNECTION_ERRORS` by their base classes; they last until the URL or a certificate is corrected."""
PROGRAMMING_ERRORS = (asyncpg.SyntaxOrAccessError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
OPERATOR_ERRORS = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateFunctionError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
"""Members of `PROGRAMMING_ERRORS` by their base classes, but caused by how the database is set up."""
POOLER = (
    "it seems to be behind a pooler in transaction mode. Pipelet needs session mode (pool_mode = session), or a "
    "direct connection."
)
READ_ONLY = "it is read-only: a standby, or full. Name the primary server in PIPELET_DATABASE_URL."
NO_SCHEMA = (
    "no schema of its search_path exists. Create it (CREATE SCHEMA ... AUTHORIZATION ...), or change search_path."
)
_NO_TLS = "no TLS connection could be negotiated. Check sslmode in PIPELET_DATABASE_URL, and ssl on the server."
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
        "or lower PIPELET_DATABASE_POOL_SIZE here; docs/operate/postgresql.md says how many are needed.",
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
        "tables of another program have the names of Pipelet's. Give Pipelet a database of its own, or a "
        "schema (?search_path=... in PIPELET_DATABASE_URL).",
    ),
    (
        (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError),
        "its tables have another schema. Run `pipelet migrate`.",
    ),
    ((asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError), POOLER),
    (
        (asyncpg.UndefinedObjectError, asyncpg.CantChangeRuntimeParamError, asyncpg.InvalidParameterValueError),
        "it does not accept a parameter of PIPELET_DATABASE_URL. Remove it there, after the ?.",
    ),
    (
        ssl.SSLCertVerificationError,
        "its certificate is not signed by an authority in sslrootcert of PIPELET_DATABASE_URL, or is for another host. "
        "Name the file of the authority that signed it, and the server as the certificate does.",
    ),
    (ssl.SSLError, _NO_TLS),
    (asyncpg.ClientConfigurationError, "PIPELET_DATABASE_URL cannot be used. Check its parts and the files it names."),
    (
        FileNotFoundError,
        "a file is missing: the socket of a server that is stopped, or a certificate that PIPELET_DATABASE_URL names.",
    ),
    (asyncpg.CannotConnectNowError, "it is starting or stopping. Wait a moment."),
    (TimeoutError, "it does not reply, or all connections are busy. Check its load and the network."),
    (CONNECTION_ERRORS, "it cannot be reached. Check that it runs, and the host and port in PIPELET_DATABASE_URL."),
)


def to_store_error(error: BaseException, url: str) -> StoreError:
    """Return the error for the operator: StoreUnavailable if waiting may help."""
    refuses = isinstance(error, _CONFIG_ERRORS) or _lacks_tls(error, url)
    may_pass = isinstance(error, (*CONNECTION_ERRORS, asyncpg.TooManyConnectionsError)) and not refuses
    return (StoreUnavailable if may_pass else StoreError)(explain(error, url))


def _lacks_tls(error: BaseException, url: str) -> bool:
    """Whether the server lacks the TLS that the URL requires; the driver has no type for that."""
    return "rejected SSL upgrade" in str(error) and parameter(url, "sslmode") in ("require", "verify-ca", "verify-full")


def explain(error: BaseException, url: str) -> str:
    """Return what an error of the database means for the operator. It never contains the password."""
    where = f"The database at {name_of(url)}"
    # Checked before the table: ClientConfigurationError is a ValueError, too, whose words are the driver's own.
    if isinstance(error, (ValueError, KeyError)) and not isinstance(error, (asyncpg.InterfaceError, OSError)):
        return f"{where}: PIPELET_DATABASE_URL cannot be used. Check its parts, and that it names a user."
    advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "it refused. Its log may say more.")
    if _lacks_tls(error, url):
        advice = _NO_TLS
    words = str(error) or type(error).__name__
    return f"{where}: {advice} (It says: {words})"
