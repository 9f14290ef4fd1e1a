"""`pipelet migrate`: bring the database to this version's schema."""

import asyncio

from pipelet import logs, settings, wiring
from pipelet.cli.flags import DataDir
from pipelet.settings import Settings


def migrate(*, data_dir: DataDir = None) -> None:
    """Create the database, or bring it to the schema of this version. `pipelet serve` does so, too, when it starts.

    It happens in one transaction: a migration that is broken off leaves the database as it was.

    For example:

        pipelet migrate --data-dir /var/lib/pipelet
    """
    chosen = settings.load(data_dir=data_dir)
    logs.configure(format=chosen.log_format, level=chosen.log_level)
    before = wiring.schema_revision(chosen)
    after = wiring.migrate(chosen)
    asyncio.run(_try_out(chosen))
    where = chosen.database_name
    if before == after:
        print(f"{where} is at revision {after} already: nothing to do.")
    else:
        print(f"{where} was brought from {f'revision {before}' if before else 'nothing'} to revision {after}.")


async def _try_out(chosen: Settings) -> None:
    """Refuses one of a newer version, and one that cannot be written."""
    async with wiring.open_store(chosen, writes=True):
        pass
