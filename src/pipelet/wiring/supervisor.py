"""The worker processes next to an API."""

import socket

from pipelet.domain.ports.store import Store
from pipelet.settings import Settings
from pipelet.wiring.devices import worker_devices
from pipelet.worker.supervisor import Supervisor


def build_supervisor(settings: Settings, *, store: Store) -> Supervisor:
    return Supervisor(
        worker_devices(settings),
        host=socket.gethostname(),
        environment=settings.to_environment(),
        grace_seconds=settings.shutdown_grace_seconds,
        store=store,
        clock=store.clock,
    )
