"""The devices of the workers on this machine."""

import shutil
import subprocess

from pipelet.settings import Settings, visible_gpus
from pipelet.system.processes import environment_without_secrets


def worker_devices(settings: Settings) -> list[str]:
    """Return a device for each worker next to the API: each GPU once if the settings leave it open."""
    gpus = count_gpus() if settings.device == "auto" else 0
    workers = max(gpus, 1) if settings.workers == "auto" else settings.workers
    return [f"cuda:{number % gpus}" if gpus else settings.device for number in range(workers)]


def count_gpus() -> int:
    """Return the number of visible GPUs, from NVIDIA's own tool, because this process does without torch."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    listing = subprocess.run(  # noqa: S603
        [tool, "--list-gpus"], capture_output=True, text=True, timeout=30, env=environment_without_secrets()
    )
    there = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    visible = visible_gpus()
    return there if visible is None else min(there, visible)
