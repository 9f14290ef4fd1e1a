"""How long a request will take from submit to result: the domain's costs, and who is there to do the work right now."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelet.api.recent import Recent
from pipelet.domain.catalog import Catalog
from pipelet.domain.estimate import (
    PRIOR_DRAW,
    PRIOR_RECORD,
    Ahead,
    Costs,
    Learned,
    Speed,
    Work,
    remaining,
    unlearned,
    work_of,
)
from pipelet.domain.image import ImageSpec
from pipelet.domain.job import Job, State
from pipelet.domain.ports import Clock, JobStore, Running
from pipelet.domain.progress import Progress
from pipelet.domain.workers import WorkerReport


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a queued request has before it, beside the queue itself."""

    speeds: tuple[tuple[Speed, int], ...]
    """How fast workers are, and how many are that fast; at least one worker."""
    workers: int
    typical: Speed
    """Of a worker that is neither the fastest nor the slowest."""
    running: int
    busy_seconds: float
    """What the running requests still keep devices busy, added up."""
    is_served: bool = True
    """False: no worker is live that begins requests, and the speeds are those of one that we imagine."""

    def wait_seconds(self, ahead: Ahead) -> float:
        """Until a request with `ahead` before it begins."""
        if ahead.requests + self.running < self.workers:
            return 0.0
        until_free = self.busy_seconds / self.workers
        if ahead.requests == 0:
            return until_free
        # Workers drain one queue side by side: their rates add up, not their times.
        rate = sum(number / max(speed.draw.predict(ahead.work), 1e-9) for speed, number in self.speeds)
        return until_free + 1 / rate

    def until_begun(self, ahead: Ahead) -> float:
        """As `wait_seconds`, of one that waits all the same where a worker is free: its key runs as many images as it
        may, until something that runs has ended."""
        return self.wait_seconds(ahead) or self.busy_seconds / max(self.running, 1)


def outlook_of(
    app: str,
    *,
    live: Sequence[WorkerReport],
    speeds: Mapping[str, Speed],
    otherwise: Speed,
    running: Sequence[Running],
    now: float,
) -> Outlook:
    """`otherwise` is how fast a worker is of whose kind nothing is known, and the one we imagine where none is live."""
    kinds = Counter(worker.kind for worker in live if worker.serves(app))
    of_each = tuple((speeds.get(kind, otherwise), number) for kind, number in kinds.items()) or ((otherwise, 1),)
    workers = sum(number for _, number in of_each)
    draw = _mean([(speed.draw, number) for speed, number in of_each])
    record = _mean([(speed.record, number) for speed, number in of_each])
    busy = sum(remaining(draw.predict(job.work), now - job.started_at, done_share(job.progress)) for job in running)
    return Outlook(of_each, workers, Speed(draw, record), len(running), busy, is_served=bool(kinds))


def _mean(costs: Sequence[tuple[Costs, int]]) -> Costs:
    """Of costs that so many workers each have."""
    workers = sum(number for _, number in costs)
    each = (tuple(cost * number / workers for cost in of_kind.seconds) for of_kind, number in costs)
    return Costs(tuple(map(sum, zip(*each, strict=True))))


def expected_total(job: Job, ahead: Ahead | None, outlook: Outlook, now: float) -> float:
    """Seconds from submit to result of an unfinished `job`. `ahead` counts for a queued one only."""
    elapsed = now - job.submitted_at
    service = outlook.typical.service(job.work, work_of(job.spec))
    if job.state is State.RUNNING and job.started_at is not None:
        return elapsed + remaining(service, now - job.started_at, done_share(job.progress))
    return elapsed + (outlook.wait_seconds(ahead) if ahead else 0.0) + service


def whole(seconds: float) -> int:
    return max(1, round(seconds))


def done_share(progress: Progress | None) -> float:
    return progress.done / progress.total if progress else 0.0


def speeds_by_kind(learned: Mapping[tuple[str, str], Learned]) -> dict[str, Speed]:
    nothing = Learned()
    return {
        kind: Speed(
            learned.get((kind, "draw"), nothing).costs(PRIOR_DRAW),
            learned.get((kind, "record"), nothing).costs(PRIOR_RECORD),
        )
        for kind in {kind for kind, _ in learned}
    }


def most_observed(learned: Mapping[tuple[str, str], Learned]) -> str | None:
    """The kind that did most of the work so far."""
    return max(learned, key=lambda at: learned[at].count)[0] if learned else None


class Estimates:
    """Keeps what estimates rest on for a fraction of a second, because every poll of every client asks for it."""

    def __init__(self, store: JobStore, catalog: Catalog, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._unlearned = unlearned()
        self._speeds = Recent(self._read_speeds, seconds=1.0, clock=clock)
        self._live = Recent(lambda: store.live_workers(clock.now()), seconds=0.5, clock=clock)
        self._sharing = {app: _sharing(catalog, app) for app in catalog.apps}
        self._outlooks: dict[str, Recent[Outlook]] = {}

    def sharing(self, app: str) -> tuple[str, ...]:
        """The apps that wait for the same workers as `app`: those its model draws for."""
        return self._sharing.get(app, (app,))

    async def is_served(self, app: str) -> bool:
        """Whether a live worker begins requests of `app`; as it was a moment ago."""
        return (await self._outlook(app)).is_served

    async def backlog(self, app: str, priority: int) -> Ahead:
        return await self._store.backlog(priority, self.sharing(app))

    async def ahead(self, job: Job) -> Ahead:
        return await self._store.ahead(job, self.sharing(job.app))

    async def expected_seconds(self, app: str, spec: ImageSpec, work: Work, backlog: Ahead) -> float:
        """From submit to result, of a request that arrives now behind `backlog`, and whose drawing is `work`."""
        outlook = await self._outlook(app)
        return outlook.wait_seconds(backlog) + outlook.typical.service(work, work_of(spec))

    async def until_room(self, app: str, key_id: str, images: int) -> float | None:
        """Seconds until so many of the key's queued images may have begun; None where they wait for other workers."""
        ahead = await self._store.ahead_of_room(key_id, images, self.sharing(app))
        return None if ahead is None else (await self._outlook(app)).until_begun(ahead)

    async def until_shorter(self, app: str, queue: Ahead, requests: int) -> float:
        """Seconds until the first `requests` of `queue`, taken to be alike, may have begun."""
        before = requests - 1
        amounts = (amount * before / queue.requests for amount in queue.work.amounts())
        return (await self._outlook(app)).until_begun(Ahead(before, Work(*amounts)))

    async def total_seconds(self, job: Job, ahead: Ahead | None, now: float) -> int:
        if job.finished_at is not None:
            return whole(job.finished_at - job.submitted_at)
        return whole(expected_total(job, ahead, await self._outlook(job.app), now))

    async def _outlook(self, app: str) -> Outlook:
        recent = self._outlooks.get(app)
        if recent is None:
            recent = Recent(lambda: self._read_outlook(app), seconds=0.25, clock=self._clock)
            self._outlooks[app] = recent
        return await recent.get()

    async def _read_outlook(self, app: str) -> Outlook:
        speeds, otherwise = await self._speeds.get()
        return outlook_of(
            app,
            live=await self._live.get(),
            speeds=speeds,
            otherwise=otherwise,
            running=await self._store.running(self.sharing(app)),
            now=self._clock.now(),
        )

    async def _read_speeds(self) -> tuple[dict[str, Speed], Speed]:
        learned = await self._store.learned()
        speeds = speeds_by_kind(learned)
        kind = most_observed(learned)
        return speeds, self._unlearned if kind is None else speeds[kind]


def _sharing(catalog: Catalog, name: str) -> tuple[str, ...]:
    model = catalog.apps[name].model
    if model is None:
        return (name,)
    return catalog.apps_of(model)
