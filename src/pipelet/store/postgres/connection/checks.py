"""Checks that a database is set up for Pipelet, and that it can be written right now."""

from pipelet.domain.database_url import name_of
from pipelet.domain.errors import StoreError
from pipelet.store.postgres.connection.errors import NO_SCHEMA, READ_ONLY
from pipelet.store.postgres.connection.pool import Connection, ConnectionPool
from pipelet.store.postgres.connection.queries import fetch


async def require_setup(pool: ConnectionPool) -> None:
    """Check that Pipelet's tables can be written.

    Raises:
        StoreError: the database cannot be reached, is read-only, or its user may not write to Pipelet's tables.
    """
    reason = await pool.run(_fault)
    if reason is not None:
        await pool.renew()
        raise StoreError(f"The database at {name_of(pool.url)}: {reason}")


async def require_space(pool: ConnectionPool) -> None:
    """Check the disk of the server.

    Raises:
        StoreError: the database cannot be reached, or its disk is full.
    """

    async def spill(connection: Connection) -> None:
        async with connection.transaction():
            await connection.execute("SET LOCAL work_mem = '64kB'")
            await fetch(connection, "check_space", {})

    await pool.run(spill)


async def require_creatable(pool: ConnectionPool) -> None:
    """Check that tables can be created.

    Raises:
        StoreError: the database cannot be reached, is read-only, or its user may not create tables in it.
    """
    (found,) = await pool.run(lambda connection: fetch(connection, "check_creatable", {}))
    if found["is_read_only"]:
        reason = READ_ONLY
    elif found["schema"] is None:
        reason = NO_SCHEMA
    elif not found["may_create"]:
        reason = (
            f"the user {found['user_name']} may not create tables in the schema {found['schema']}. Make it the owner "
            f"(ALTER DATABASE {found['database']} OWNER TO {found['user_name']}), or grant it the right (GRANT CREATE "
            f"ON SCHEMA {found['schema']} TO {found['user_name']})."
        )
    else:
        return
    raise StoreError(f"The database at {name_of(pool.url)}: {reason}")


async def _fault(connection: Connection) -> str | None:
    (found,) = await fetch(connection, "check_writable", {})
    if found["is_standby"] or found["is_read_only"]:
        return READ_ONLY
    if found["forbidden"]:
        return (
            f"the user {found['user_name']} may not read and write {', '.join(found['forbidden'])}. Make it the owner, "
            "or grant it all rights on Pipelet's tables and sequences."
        )
    return None
