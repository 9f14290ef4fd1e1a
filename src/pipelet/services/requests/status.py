"""Status of a request: the job, its place in the queue, what it waits for, and how long it takes."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pipelet.concurrency.cached_value import CachedValue
from pipelet.domain.capacity.cost_model import WorkAhead
from pipelet.domain.catalog import Catalog, ModelConfig
from pipelet.domain.errors import NotFound
from pipelet.domain.generation.plan import GenerationPlan, plan_generation
from pipelet.domain.ids import is_request_id
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.jobs.progress import Progress, tasks_per_job
from pipelet.domain.ports.store import Store
from pipelet.services.queue.estimates import Estimates

T = TypeVar("T")
V = TypeVar("V")

_CHUNK_SIZE = 500
"""Requests in one query. A read from SQLite blocks other work, for some 5 ms with this many."""
NO_SUCH_REQUEST = "There is no request with this id. It may have expired, or belong to another user."
_PAUSED = ". The operator has paused this app; requests wait until it is resumed"
_NO_WORKER = ". No worker serves this app at present; requests wait until one does"
_BLOCKED_BY_QUOTA = ". The key runs as many images as it may; this begins when enough of them are done"


@dataclass(frozen=True, slots=True)
class JobStatus:
    job: Job
    ahead: WorkAhead | None = None
    """The work that starts before it; None unless it is queued."""
    wait_reason: str = ""
    """What it waits for other than the requests ahead; empty if only for those."""

    @property
    def position(self) -> int:
        """Number of requests that start before it."""
        return self.ahead.requests if self.ahead else 0


class StatusReader:
    """Reads the status of requests."""

    def __init__(self, store: Store, catalog: Catalog, estimates: Estimates) -> None:
        self._store = store
        self._catalog = catalog
        self._estimates = estimates
        self._paused = CachedValue(store.queue.paused, ttl_seconds=0.5, now=store.clock.now)

    async def get_job(self, job_id: str, *, user: str | None = None) -> Job:
        """The job of this id; with `user`, only if it belongs to that user.

        Raises:
            NotFound: the same error for an id of any shape, an unknown one, an expired one and another user's.
        """
        job = await self._store.jobs.get(job_id) if is_request_id(job_id) else None
        if job is None or job.is_expired(self._store.clock.now()) or (user is not None and job.user != user):
            raise NotFound(NO_SUCH_REQUEST)
        return job

    async def load(self, job: Job) -> JobStatus:
        """The status of `job` now."""
        if job.state is not JobState.QUEUED:
            return JobStatus(job)
        reason = await self.wait_reason(job)
        return JobStatus(job, await self._estimates.work_ahead(job), reason)

    async def load_many(self, jobs: Sequence[Job]) -> dict[str, JobStatus]:
        """The status of many jobs, by id, in a few queries. A queued job that has just started is left out."""
        waiting = [job for job in jobs if job.state is JobState.QUEUED]
        ahead, reasons = await self._work_ahead(waiting), await self._wait_reasons(waiting)
        return {
            job.id: JobStatus(job, ahead.get(job.id), reasons.get(job.id, ""))
            for job in jobs
            if job.state is not JobState.QUEUED or job.id in ahead
        }

    async def _work_ahead(self, jobs: Sequence[Job]) -> dict[str, WorkAhead]:
        groups: defaultdict[tuple[str, ...], list[Job]] = defaultdict(list)
        # Jobs that are close in the queue go into one query: most of what they count is the same.
        for job in sorted(jobs, key=lambda job: (job.priority, job.turn, job.seq)):
            groups[self._estimates.apps_sharing_workers(job.app)].append(job)
        found: dict[str, WorkAhead] = {}
        for apps, group in groups.items():
            found |= await read_in_chunks(partial(self._store.queue.work_ahead_many, apps=apps), group)
        return found

    async def _wait_reasons(self, jobs: Sequence[Job]) -> dict[str, str]:
        """Wait reasons by job id. Limited jobs with the same app, key and batch size share one lookup."""
        known: dict[tuple[str, str | None, int], str] = {}
        reasons: dict[str, str] = {}
        for job in jobs:
            alike = (job.app, job.key_id, job.spec.batch_size) if job.is_limited else (job.app, None, 0)
            if alike not in known:
                known[alike] = await self.wait_reason(job)
            reasons[job.id] = known[alike]
        return reasons

    async def wait_reason(self, job: Job) -> str:
        """What the queued `job` waits for other than the requests ahead of it."""
        if job.app in await self._paused.get():
            return _PAUSED
        if not await self._estimates.is_served(job.app):
            return _NO_WORKER
        return _BLOCKED_BY_QUOTA if await self._store.queue.is_blocked_by_quota(job) else ""

    async def total_seconds(self, status: JobStatus) -> int | None:
        """Estimated seconds from submit to result; None if nothing can be estimated."""
        if status.wait_reason in (_PAUSED, _NO_WORKER):  # which may end at any time, or never
            return None
        return await self._estimates.total_seconds(status.job, status.ahead, self._store.clock.now())

    def message(self, status: JobStatus) -> str:
        """The status in one line."""
        job, ahead = status.job, status.ahead
        if ahead is not None:
            return f"Queued: {ahead.requests} request{'' if ahead.requests == 1 else 's'} ahead{status.wait_reason}"
        if job.failure is not None:
            return job.failure.message
        progress = job.progress or Progress(0, self._tasks(job))
        return str(Progress(progress.total, progress.total) if job.state is JobState.SUCCEEDED else progress)

    def plan_of(self, job: Job) -> GenerationPlan:
        """How it is generated. If its app is not served here any more, an unknown model is assumed."""
        return plan_generation(job.spec, self._model_of(job) or ModelConfig(name="", source=""))

    def _model_of(self, job: Job) -> ModelConfig | None:
        app = self._catalog.apps.get(job.app)
        return None if app is None or app.model is None else self._catalog.model_of(app)

    def _tasks(self, job: Job) -> int:
        """The number of tasks that the worker will report, before its first report."""
        plan, model = self.plan_of(job), self._model_of(job)
        return tasks_per_job(plan, len(plan.batch_sizes(model.max_megapixels_per_batch)) if model else 1)


async def read_in_chunks(read: Callable[[Sequence[T]], Awaitable[dict[str, V]]], values: Sequence[T]) -> dict[str, V]:
    """Read in several queries if there are many values, so that other tasks run in between."""
    found: dict[str, V] = {}
    for begin in range(0, len(values), _CHUNK_SIZE):
        found |= await read(values[begin : begin + _CHUNK_SIZE])
        await asyncio.sleep(0)
    return found
