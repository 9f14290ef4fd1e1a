"""What a worker is started with."""

from dataclasses import dataclass

from pipelet.domain.catalog import ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    name: str
    """Unique among live workers."""
    apps: tuple[str, ...]
    model: ModelConfig
    version: str
    lease_seconds: float
    """Seconds until a lease or a heartbeat expires that is not renewed."""
    grace_seconds: float
    """Seconds that running attempts get after `stop`; then they are released."""
    writes_metadata: bool = True
    """Whether image files contain how they were generated."""
    quiet_seconds: float = 0.25
    """Seconds for which the engine has neither begun nor ended a request before the worker makes thumbnails."""
