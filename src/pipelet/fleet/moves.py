"""Who comes and who goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, islice


class Condition(StrEnum):
    COMING = "coming"
    """Nobody answers there: it waits for a GPU, is being started, or started again after its node died."""
    WORKING = "working"
    LEAVING = "leaving"
    """It was told to go, and finishes what it draws."""
    BROKEN = "broken"
    """It cannot work, and will not by itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """One worker's place in the cluster, as somebody finds it who looks around."""

    number: int
    """No two places of one `edition` have the same."""
    edition: str
    """Of version and settings: workers of another one are to be replaced."""
    condition: Condition
    trouble: str | None = None
    """Why it is not well, for the operator."""


@dataclass(frozen=True, slots=True)
class Moves:
    fill: tuple[int, ...]
    """Numbers of the places to fill."""
    clear: tuple[Place, ...]
    """Places whose workers are to go."""


def moves(places: Sequence[Place], *, edition: str, wanted: int, maximum: int) -> Moves:
    """What leads from `places` to `wanted` workers of `edition`.

    Whoever draws nothing yet goes first, then the youngest. Those who leave hold their GPU until they have gone: with
    them there are never more than `maximum`.
    """
    here = [place for place in places if place.condition is not Condition.LEAVING]
    unfit = [place for place in here if place.edition != edition or place.condition is Condition.BROKEN]
    fit = [place for place in here if place not in unfit]
    fit.sort(key=lambda place: (place.condition is Condition.COMING, place.number))
    free = max(0, min(wanted - len(fit), maximum - len(places)))
    taken = {place.number for place in places}
    return Moves(
        fill=tuple(islice((number for number in count() if number not in taken), free)),
        clear=(*unfit, *fit[wanted:]),
    )
