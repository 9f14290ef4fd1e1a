"""`pipelet migrate`: create the database, or upgrade its schema."""

from pipelet import logs, settings
from pipelet.cli.options import DataDir
from pipelet.wiring import store as wiring_store


def migrate(*, data_dir: DataDir = None) -> None:
    """Create the database, or upgrade it to the schema of this version. `pipelet serve` does so, too, when it starts.

    It runs in one transaction: an interrupted migration leaves the database as it was.

    For example:

        pipelet migrate --data-dir /var/lib/pipelet
    """
    chosen = settings.load(data_dir=data_dir)
    logs.configure(format=chosen.log_format, level=chosen.log_level)
    before = wiring_store.schema_revision(chosen)
    after = wiring_store.migrate(chosen)
    wiring_store.check_writable(chosen)
    name = chosen.database_name
    if before == after:
        print(f"{name} is at revision {after} already: nothing to do.")
    else:
        print(f"{name} was migrated from {f'revision {before}' if before else 'nothing'} to revision {after}.")
