"""The database's schema: numbered SQL files, `<dialect>/NNNN_name.sql`, and which of them a database has had."""

from pathlib import Path

from pipelet.domain.errors import SchemaTooNew, StoreError

FOLDER = Path(__file__).parent

CREATE_TABLE = "CREATE TABLE IF NOT EXISTS schema_migration (version TEXT PRIMARY KEY, applied_at {number} NOT NULL)"
SELECT_VERSION = "SELECT max(version) FROM schema_migration"
SET_ORDER = "UPDATE queue_order SET name = '{order}'"
"""The order of the queue in a database that has just got the table."""
ORDER_VERSION = "0002"
EARLIER_TABLE = "alembic_version"
"""A table of the databases that Pipelet made before `0001_initial`."""


def pending(dialect: str, version: str | None, folder: Path = FOLDER) -> dict[str, str]:
    """Return the SQL of the migrations after `version`, oldest first, by their version."""
    files = sorted((folder / dialect).glob("[0-9]*.sql"))
    return {file.name[:4]: file.read_text("utf-8") for file in files if version is None or file.name[:4] > version}


HEAD = max(file.name[:4] for file in (FOLDER / "sqlite").glob("[0-9]*.sql"))
"""The newest schema version that this Pipelet knows."""


def require_current(version: str | None, name: str) -> None:
    """Check the schema version of the database called `name`.

    Raises:
        SchemaTooNew: a newer version of Pipelet migrated it.
        StoreError: it has to be migrated first.
    """
    if version is not None and version > HEAD:
        raise SchemaTooNew(
            f"The database at {name} was migrated by a newer version of Pipelet (schema {version}; this version knows "
            f"up to {HEAD}). Install that version, or point PIPELET_DATABASE_URL at another database."
        )
    if version != HEAD:
        raise StoreError(f"The database at {name} has an older schema. Run `pipelet migrate` first.")


def earlier_database(name: str) -> StoreError:
    return StoreError(
        f"The database at {name} was made by an earlier Pipelet and cannot be migrated: keep that version running "
        "until its queue is empty, or start with a new database (another PIPELET_DATABASE_URL or PIPELET_DATA_DIR)."
    )
