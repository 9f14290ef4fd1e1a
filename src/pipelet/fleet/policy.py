"""The number of workers to run. It follows the queued work in seconds, not the number of requests."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """Scaling goals of an operator."""

    minimum: int
    """Minimum number of workers, even without work."""
    maximum: int
    """Maximum number of workers; at least `minimum`."""
    target_drain_seconds: float
    """Seconds in which all queued and running work should be done."""
    scale_down_delay_seconds: float
    """Seconds for which fewer workers must have been enough before one is stopped."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Queued and running work."""

    requests: int
    seconds: float
    """Seconds that one worker would need for all of it."""


def desired_workers(demand: Demand, policy: ScalingPolicy) -> int:
    """Return the number of workers that finish `demand` in time; more workers than requests would idle."""
    enough = math.ceil(min(demand.seconds / policy.target_drain_seconds, policy.maximum))
    return max(policy.minimum, min(max(enough, 1), demand.requests, policy.maximum))


@dataclass(frozen=True, slots=True)
class StabilizationWindow:
    """Recent needs: scales up at once, and down only when every recent need was lower."""

    seen: tuple[tuple[float, int], ...] = ()

    def add(self, need: int, *, now: float, scale_down_delay_seconds: float) -> "StabilizationWindow":
        """Return the window with one more need, without those older than the delay."""
        recent = tuple((at, known) for at, known in self.seen if now - at < scale_down_delay_seconds)
        return StabilizationWindow((*recent, (now, need)))

    @property
    def max(self) -> int:
        return max((need for _, need in self.seen), default=0)
