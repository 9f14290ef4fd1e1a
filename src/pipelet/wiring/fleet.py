"""Builds a fleet, and what it keeps on other machines."""

import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from pipelet import __version__, logs
from pipelet.domain.catalog import Catalog
from pipelet.domain.errors import Unusable
from pipelet.domain.ports import JobStore
from pipelet.settings import Aws, Settings, load
from pipelet.wiring import build_crew, model_of_workers, open_store
from pipelet.worker.crew import Crew

if TYPE_CHECKING:
    from pipelet.fleet.fleet import Fleet
    from pipelet.fleet.sizing import Goal


@contextlib.contextmanager
def open_fleet(
    settings: Settings,
    *,
    address: str,
    resources: Mapping[str, float],
    goal: "Goal",
    files_are_shared: bool,
    store: JobStore,
    catalog: Catalog,
) -> Iterator["Fleet"]:
    """
    Raises:
        Unusable: Ray is not installed, or there is no cluster at `address`.
    """
    try:
        from pipelet.fleet import seats  # needs the ray extra
        from pipelet.fleet.fleet import Fleet
    except ImportError as error:
        raise Unusable(f"`pipelet fleet` needs Ray ({error}): pip install 'pipelet-server[ray]'") from error

    environment = settings.as_environment() | {"PIPELET_WORKERS": "1"}
    if settings.bucket is not None:
        environment |= Aws().as_environment()
    places = seats.Seats(
        partial(open_crew_elsewhere, environment),
        resources=resources,
        edition=_short_hash(__version__, *sorted(environment.items()), *sorted(resources.items())),
    )
    # The fleets of two databases or apps do not meet in one cluster, and one that is started again finds its workers.
    database = settings.database_name if settings.is_shared else settings.database_path.resolve()
    namespace = f"pipelet-{_short_hash(database, settings.app)}"
    with seats.connected(address, namespace=namespace):
        yield Fleet(
            places,
            store=store,
            apps=catalog.apps_of(model_of_workers(settings, catalog).name),
            goal=goal,
            why_alone=why_alone(settings, files_are_shared=files_are_shared),
        )


def _short_hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def why_alone(settings: Settings, *, files_are_shared: bool) -> str | None:
    """Why all workers must be on this machine; None where they may be anywhere."""
    if not settings.is_shared:
        return "workers there cannot use an SQLite database. Set PIPELET_DATABASE_URL to one on PostgreSQL."
    if settings.bucket is None and not files_are_shared:
        return (
            f"they have another {settings.files_folder}. Keep the files on S3 (PIPELET_BLOBS_URL), or say "
            "--shared-files where that folder is the same on all of them."
        )
    return None


@contextlib.asynccontextmanager
async def open_crew_elsewhere(environment: Mapping[str, str]) -> AsyncIterator[Crew]:
    """What a fleet keeps on the node where a worker was placed; `environment` is that of the fleet's settings."""
    os.environ.update(environment)
    settings = load()
    logs.configure(format=settings.log_format, level=settings.log_level)
    async with open_store(settings, writes=True) as store:
        yield build_crew(settings, store=store)
