"""The worker processes next to an API, and the devices of this machine that they run on."""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence

from pipelet.domain.ports.store import Store
from pipelet.settings import Settings
from pipelet.system.processes import environment_without_secrets
from pipelet.worker.supervisor import Place, Supervisor


def build_supervisor(
    settings: Settings, *, store: Store, places: Sequence[Place], host: str | None = None
) -> Supervisor:
    """
    Args:
        host: what the names of the workers begin with; None: the name of this machine.
    """
    return Supervisor(
        places,
        host=host or socket.gethostname(),
        environment=settings.to_environment(),
        grace_seconds=settings.shutdown_grace_seconds,
        store=store,
    )


def places_on_all_devices(settings: Settings, apps: Sequence[str | None] = (None,)) -> list[Place]:
    """Return the places of the workers of this machine: on every device, one for each of `apps`.

    Args:
        apps: one for each model, as `apps_of_workers` returns them.
    """
    gpus = count_gpus() if settings.device == "auto" else 0
    workers = max(gpus, 1) if settings.workers == "auto" else settings.workers
    devices = [f"cuda:{number % gpus}" if gpus else settings.device for number in range(workers)]
    return [Place(device, app) for device in devices for app in apps]


def count_gpus() -> int:
    """Return the number of visible GPUs, from NVIDIA's own tool, because this process does without torch."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    listing = subprocess.run(  # noqa: S603
        [tool, "--list-gpus"], capture_output=True, text=True, timeout=30, env=environment_without_secrets()
    )
    there = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    visible = _visible_gpus()
    return there if visible is None else min(there, visible)


def _visible_gpus() -> int | None:
    """Return how many GPUs NVIDIA's own variable leaves visible; None if it is not set."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if value is None else sum(1 for part in value.split(",") if part.strip() not in ("", "-1"))
