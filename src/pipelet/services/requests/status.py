"""Status of a request: the job, its place in the queue, what it waits for, and how long it takes."""

from dataclasses import dataclass

from pipelet.concurrency.cached_value import CachedValue
from pipelet.domain.capacity.cost_model import WorkAhead
from pipelet.domain.catalog import Catalog, ModelConfig
from pipelet.domain.errors import NotFound
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.ids import is_request_id
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.jobs.progress import Progress, tasks_per_job
from pipelet.domain.ports.store import Store
from pipelet.services.queue.estimates import Estimates

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

    def _tasks(self, job: Job) -> int:
        """The number of tasks that the worker will report, before its first report."""
        app = self._catalog.apps.get(job.app)
        if app is None or app.model is None:
            return tasks_per_job(plan_generation(job.spec, ModelConfig(name="", source="")), 1)
        model = self._catalog.model_of(app)
        plan = plan_generation(job.spec, model)
        return tasks_per_job(plan, len(plan.batch_sizes(model.max_megapixels_per_batch)))
