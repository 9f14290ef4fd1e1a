"""The end of an attempt: the outcome in the store, the sample for the cost model, and the line in the log."""

import structlog

from pipelet import tracing
from pipelet.domain.capacity.cost_model import generation_work, spec_work
from pipelet.domain.errors import EngineDied, EngineError, EngineTimeout, InvalidInput, OutOfMemory, StoreError
from pipelet.domain.generation.plan import GenerationPlan
from pipelet.domain.jobs.job import Job, Lease
from pipelet.domain.jobs.outcome import (
    Cancelled,
    Failed,
    Failure,
    FailureKind,
    Interrupted,
    Outcome,
    Released,
    Succeeded,
)
from pipelet.domain.ports.store import Store
from pipelet.worker.heartbeat import Heartbeat
from pipelet.worker.storage_retry import retry_until_stored

log = structlog.get_logger()


class Finisher:
    def __init__(self, store: Store, heartbeat: Heartbeat) -> None:
        self._store = store
        self._heartbeat = heartbeat

    async def finish(self, lease: Lease, plan: GenerationPlan, outcome: Outcome) -> bool:
        """Store and log the outcome of an attempt. Returns False where the lease was lost."""
        finished_at = self._store.clock.now()
        tracing.set_attributes(outcome=type(outcome).__name__.lower())
        with tracing.span("finish"):
            if not await self.write(lease, outcome):
                return False
        _log_outcome(lease.job, outcome)
        if isinstance(outcome, Succeeded):
            await self._observe_costs(lease.job, plan, outcome.inference_seconds, finished_at)
        return True

    async def write(self, lease: Lease, outcome: Outcome) -> bool:
        """Retry until the store has the outcome. Returns False where the lease was lost."""
        return await retry_until_stored(lambda: self._store.leases.finish(lease, outcome, self._store.clock.now()))

    async def _observe_costs(self, job: Job, plan: GenerationPlan, generation: float, finished_at: float) -> None:
        storing = max(finished_at - (job.started_at or finished_at) - generation, 0.0)
        workers, profile = self._store.workers, self._heartbeat.profile
        try:
            await workers.add_observation(profile, "generate", generation_work(plan), generation)
            await workers.add_observation(profile, "store", spec_work(job.spec), storing)
        except StoreError as error:  # the next job provides the same sample
            log.warning("cost_model.update_failed", reason=str(error))


def _log_outcome(job: Job, outcome: Outcome) -> None:
    match outcome:
        case Succeeded(images, seconds):
            log.info("attempt.succeeded", images=len(images), seconds=round(seconds, 3))
        case Failed(failure):
            log.warning("attempt.failed", error_type=failure.kind, reason=failure.message)
        case Interrupted(failure):
            log.error("attempt.interrupted", attempt=job.attempt, reason=failure.message)
        case Cancelled(images):
            log.info("attempt.cancelled", images=len(images))
        case Released(reason):
            log.info("attempt.released", reason=reason)


def outcome_from_error(error: EngineError, *, largest_batch: int) -> Outcome:
    """Return what an engine error means for the job.

    `largest_batch` is the number of images of the largest micro-batch: images that do not fit together may fit alone.
    """
    match error:
        case InvalidInput():
            return Failed(Failure(FailureKind.INVALID_INPUT, str(error)))
        case OutOfMemory() if largest_batch > 1:
            return Interrupted(Failure(FailureKind.OUT_OF_MEMORY, str(error)))
        case OutOfMemory():
            return Failed(Failure(FailureKind.OUT_OF_MEMORY, f"{error} Request a smaller width and height."))
        case EngineDied() | EngineTimeout():
            return Interrupted(Failure(FailureKind.WORKER_LOST, str(error)))
        case _:
            return Failed(Failure(FailureKind.INTERNAL, str(error)))
