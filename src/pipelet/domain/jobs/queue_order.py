"""The order in which waiting requests of one priority start."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

_MAX_COST_SECONDS = 1_000_000.0
"""Seconds, more than any request takes: turns of millions of requests stay within 63 bits."""


class QueueOrder(StrEnum):
    """A property of the database, so that all processes agree."""

    FAIR = "fair"
    """Users take turns, weighed by the predicted device time of their requests."""
    FIFO = "fifo"
    """First come, first served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What decides the place of a request that arrives."""

    app: str
    model: str
    priority: int
    user: str


class AccountId(NamedTuple):
    """Whose account of turns: a user has one for each model and priority."""

    model: str
    priority: int
    user: str


def turn_cost(seconds: float) -> int:
    """Return what a request costs its user's turn, in microseconds: whole ones, so that a refund is exact."""
    return max(1, round(1e6 * min(seconds, _MAX_COST_SECONDS)))
