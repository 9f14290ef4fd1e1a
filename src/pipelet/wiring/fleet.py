"""The fleet, and the supervisors that it starts on other machines."""

import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from pipelet import __version__, logs
from pipelet.domain.errors import OperationalError
from pipelet.settings import Settings, load
from pipelet.settings.aws import AwsSettings
from pipelet.wiring.catalog import model_of_worker, read_catalog
from pipelet.wiring.store import open_store
from pipelet.wiring.supervisor import build_supervisor, places_on_all_devices
from pipelet.worker.supervisor import Supervisor

if TYPE_CHECKING:
    from pipelet.fleet.autoscaler import Autoscaler
    from pipelet.fleet.policy import ScalingPolicy


@contextlib.asynccontextmanager
async def open_fleet(
    settings: Settings, policy: "ScalingPolicy", *, address: str, resources: Mapping[str, float], files_are_shared: bool
) -> AsyncIterator["Autoscaler"]:
    """Connect to the database and a Ray cluster, and yield the autoscaler of its workers.

    Raises:
        OperationalError: Ray is not installed, or there is no cluster at `address`.
    """
    try:
        from pipelet.fleet import ray_cluster  # needs the ray extra
        from pipelet.fleet.autoscaler import Autoscaler
    except ImportError as error:
        raise OperationalError(f"`pipelet fleet` needs Ray ({error}): pip install 'pipelet-server[ray]'") from error

    catalog = read_catalog(settings)
    environment = settings.to_environment() | {"PIPELET_WORKERS": "1"}
    if settings.bucket is not None:
        environment |= AwsSettings().to_environment()
    cluster = ray_cluster.RayCluster(
        partial(open_remote_supervisor, environment),
        resources=resources,
        config_hash=_short_hash(__version__, *sorted(environment.items()), *sorted(resources.items())),
    )
    # The fleets of two databases or apps stay apart in one cluster, and a restarted fleet finds its workers.
    database = settings.database_name if settings.postgres_url else settings.database_path.resolve()
    namespace = f"pipelet-{_short_hash(database, settings.worker_app)}"
    async with open_store(settings, writes=True) as store:
        with ray_cluster.connected(address, namespace=namespace):
            yield Autoscaler(
                cluster=cluster,
                store=store,
                apps=catalog.apps_of(model_of_worker(settings, catalog).name),
                policy=policy,
                single_node_reason=single_node_reason(settings, files_are_shared=files_are_shared),
            )


def _short_hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def single_node_reason(settings: Settings, *, files_are_shared: bool) -> str | None:
    """Return why all workers must be on this machine; None if they may be on any."""
    if not settings.postgres_url:
        return "workers there cannot use an SQLite database. Set PIPELET_DATABASE_URL to a PostgreSQL database."
    if settings.bucket is None and not files_are_shared:
        return (
            f"{settings.files_folder} is another folder there. Store the files on S3 (PIPELET_BLOBS_URL), or add "
            "--shared-files if that folder is the same on all machines."
        )
    return None


@contextlib.asynccontextmanager
async def open_remote_supervisor(environment: Mapping[str, str]) -> AsyncIterator[Supervisor]:
    """Open the supervisor of a worker on a node of the cluster.

    Args:
        environment: variables with the fleet's settings.
    """
    os.environ.update(environment)
    settings = load()
    logs.configure(format=settings.log_format, level=settings.log_level)
    async with open_store(settings, writes=True) as store:
        yield build_supervisor(settings, store=store, places=places_on_all_devices(settings))
