"""What workers on this machine draw on."""

import shutil
import subprocess

from pipelet.settings import Settings, visible_gpus
from pipelet.system.processes import environment_without_secrets


def crew_devices(settings: Settings) -> list[str]:
    """A device for each worker beside the API: every GPU once, where the settings leave it open."""
    if settings.device != "auto":
        return [settings.device] * (1 if settings.workers < 0 else settings.workers)
    gpus = count_gpus()
    if gpus == 0:
        return ["auto"] * (1 if settings.workers < 0 else settings.workers)
    workers = gpus if settings.workers < 0 else settings.workers
    return [f"cuda:{number % gpus}" for number in range(workers)]


def count_gpus() -> int:
    """NVIDIA's own tool is asked, because this process does without torch."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    listing = subprocess.run(  # noqa: S603
        [tool, "--list-gpus"], capture_output=True, text=True, timeout=30, env=environment_without_secrets()
    )
    there = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    visible = visible_gpus()
    return there if visible is None else min(there, visible)
