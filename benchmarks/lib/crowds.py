"""Users and sizes of requests that fill a queue, for the benchmarks of deep queues."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tests.support.jobs import make_job

from pipelet.domain.jobs.job import Job

MODEL = "demo"
SECONDS = (1, 3, 8, 25)
"""Device time of requests, and how often each is submitted."""
WEIGHTS = (45, 35, 15, 5)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Users who submit, and the order of their queue."""

    name: str
    order: str
    user: Callable[[int, random.Random], str]
    """The user of the request of a number."""
    seconds: int | None = None
    """Device time of every request; None: as in `WEIGHTS`."""

    def jobs(self, seed: int, *, priorities: int = 1, submitted_at: float) -> Iterator[Job]:
        """Yield requests without end."""
        rng, number = random.Random(seed), 0
        while True:
            seconds = self.seconds or rng.choices(SECONDS, WEIGHTS)[0]
            job = make_job(priority=rng.randrange(priorities), user=self.user(number, rng), submitted_at=submitted_at)
            yield replace(job, model=MODEL, turn_cost=seconds * 1_000_000)
            number += 1


def _one_of(count: int) -> Callable[[int, random.Random], str]:
    return lambda number, rng: f"user-{number % count}"


def _flooder_and_ten(number: int, rng: random.Random) -> str:
    return "flooder" if rng.random() < 0.9 else f"user-{rng.randrange(10)}"


FIFO = Crowd("fifo", "fifo", _one_of(10))
CROWDS = (
    Crowd("one user", "fair", _one_of(1)),
    Crowd("ten users", "fair", _one_of(10)),
    Crowd("1,000 users", "fair", _one_of(1_000)),
    Crowd("100,000 users, equal turns", "fair", _one_of(100_000), seconds=3),
    Crowd("a flooder and ten", "fair", _flooder_and_ten),
)


@dataclass(slots=True)
class Accounts:
    """Gives turns to requests that are written past the store. Nothing has started, so that clocks stand at 0."""

    order: str
    finish: dict[tuple[int, str], int] = field(default_factory=dict)

    def turn(self, job: Job) -> int:
        if self.order == "fifo":
            return 0
        turn = self.finish.get((job.priority, job.user), 0)
        self.finish[job.priority, job.user] = turn + job.turn_cost
        return turn
