"""How many workers there should be. It follows the work that waits, not the number of requests that do."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the operator wants of a fleet."""

    minimum: int
    """Workers that stay, however little there is to do."""
    maximum: int
    """The most workers, however much there is. At least `minimum`."""
    clear_within: float
    """Seconds in which all that waits and runs now should be drawn."""
    patience: float
    """Seconds for which fewer workers must have been enough before one has to go."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What waits and what runs."""

    requests: int
    seconds: float
    """That one worker would still need for all of it."""


def needed(demand: Demand, goal: Goal) -> int:
    """Workers that draw all of `demand` within the goal's time; a worker more than there are requests would idle."""
    enough = math.ceil(min(demand.seconds / goal.clear_within, goal.maximum))
    return max(goal.minimum, min(max(enough, 1), demand.requests, goal.maximum))


@dataclass(frozen=True, slots=True)
class Needs:
    """What was needed lately. More is wanted at once, less only when all that was needed lately is less."""

    seen: tuple[tuple[float, int], ...] = ()

    def then(self, need: int, *, now: float, patience: float) -> "Needs":
        """With one more; what is `patience` seconds old is forgotten."""
        recent = tuple((at, known) for at, known in self.seen if now - at < patience)
        return Needs((*recent, (now, need)))

    @property
    def most(self) -> int:
        return max((need for _, need in self.seen), default=0)
