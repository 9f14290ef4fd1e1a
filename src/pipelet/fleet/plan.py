"""Which workers to start and which to stop."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, islice


class ReplicaState(StrEnum):
    STARTING = "starting"
    """It does not respond yet: it waits for a GPU, is starting, or restarts after its node died."""
    RUNNING = "running"
    STOPPING = "stopping"
    """It was stopped, and finishes its requests."""
    FAILED = "failed"
    """It cannot work, and does not recover by itself."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One worker in the cluster, as observed."""

    number: int
    """Unique among replicas with the same `config_hash`."""
    config_hash: str
    """Hash of version and settings: replicas with another hash are replaced."""
    state: ReplicaState
    problem: str | None = None
    """Why it does not work, for the operator."""


def plan_scaling(
    replicas: Sequence[Replica], *, config_hash: str, wanted: int, maximum: int
) -> tuple[list[int], list[Replica]]:
    """Return what turns `replicas` into `wanted` replicas with `config_hash`: numbers to start, and replicas to stop.

    Replicas that are still starting are stopped first, then the newest. A stopping replica holds its GPU until it has
    exited, so it counts towards `maximum`.
    """
    active = [replica for replica in replicas if replica.state is not ReplicaState.STOPPING]
    unfit = [
        replica for replica in active if replica.config_hash != config_hash or replica.state is ReplicaState.FAILED
    ]
    fit = [replica for replica in active if replica not in unfit]
    fit.sort(key=lambda replica: (replica.state is ReplicaState.STARTING, replica.number))
    free = max(0, min(wanted - len(fit), maximum - len(replicas)))
    taken = {replica.number for replica in replicas}
    start = islice((number for number in count() if number not in taken), free)
    return list(start), [*unfit, *fit[wanted:]]
