"""Runs one attempt from claim to verdict."""

import asyncio
from dataclasses import dataclass
from functools import partial

import structlog

from pipelet import tracing
from pipelet.concurrency.cancel import cancel_on
from pipelet.domain.errors import EngineError, OutOfMemory
from pipelet.domain.generation.plan import GenerationPlan, plan_generation
from pipelet.domain.jobs.job import Lease
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind, Outcome, Released, Succeeded
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.engine import Engine
from pipelet.domain.ports.store import Store
from pipelet.worker.attempt import Attempt, LeaseLost
from pipelet.worker.config import WorkerConfig
from pipelet.worker.finish import Finisher, outcome_from_error
from pipelet.worker.images.input_images import InputImageLost
from pipelet.worker.images.metadata import request_details
from pipelet.worker.images.thumbnails import ThumbnailMaker
from pipelet.worker.lease_keeper import LeaseKeeper

log = structlog.get_logger()


@dataclass(kw_only=True, eq=False)
class AttemptRunner:
    config: WorkerConfig
    store: Store
    blobs: BlobStore
    engine: Engine
    leases: LeaseKeeper
    finisher: Finisher
    thumbnails: ThumbnailMaker
    force_stop: asyncio.Event
    """Releases running attempts."""

    def __post_init__(self) -> None:
        self._max_megapixels_per_batch = self.config.model.max_megapixels_per_batch

    async def run(self, lease: Lease, engine_is_free: asyncio.Event) -> None:
        """Run an attempt and store its outcome. Never raises: the store and the log have what happened.

        `engine_is_free` is set when the attempt needs the engine no longer.
        """
        job = lease.job
        with (
            structlog.contextvars.bound_contextvars(request_id=job.id),
            tracing.request_span("attempt", job.id, app=job.app, attempt=job.attempt, worker=lease.worker),
            self.leases.hold(lease) as held,
        ):
            config, plan = self.config, plan_generation(job.spec, self.config.model)
            self._log_start(lease, plan)
            if job.attempt == 1:
                tracing.record("wait", start=job.submitted_at, end=job.started_at or job.submitted_at)
            attempt = Attempt(
                lease,
                store=self.store,
                blobs=self.blobs,
                engine=self.engine,
                plan=plan,
                max_megapixels_per_batch=self._max_megapixels_per_batch,
                details=request_details(job, plan, version=config.version) if config.writes_metadata else None,
            )
            try:
                work = self._outcome(attempt, engine_is_free, held.cancelled)
                outcome = await cancel_on(work, held.lost, self.force_stop)
                if not held.lost.is_set():
                    held.is_finishing = True
                    if not await self.finisher.finish(lease, plan, outcome or Released("the worker is shutting down")):
                        held.lost.set()
                    elif isinstance(outcome, Succeeded):
                        self.thumbnails.add(job.id, attempt.samples)
            except LeaseLost:
                held.lost.set()
            finally:
                engine_is_free.set()
                await attempt.close()
            if held.lost.is_set():
                log.warning("attempt.lease_lost", attempt=job.attempt)

    def _log_start(self, lease: Lease, plan: GenerationPlan) -> None:
        """Log in the next pass of the event loop: in this one the engine, idle until then, gets the job."""
        job, native_size = lease.job, str(plan.native.size)
        fields = {"attempt": job.attempt, "app": job.app, "size": str(job.spec.size), "native_size": native_size}
        asyncio.get_running_loop().call_soon(partial(log.info, "attempt.started", **fields))

    async def _outcome(self, attempt: Attempt, engine_is_free: asyncio.Event, cancelled: asyncio.Event) -> Outcome:
        try:
            await cancel_on(attempt.generate(), cancelled)
            engine_is_free.set()
            return await attempt.store_files()
        except EngineError as error:
            if isinstance(error, OutOfMemory):
                # Generate such sizes one by one from now on; the next attempt shows whether that fits.
                needed = attempt.plan.memory_megapixels
                self._max_megapixels_per_batch = min(self._max_megapixels_per_batch, needed)
            if error.stderr_tail:
                log.warning("engine.stderr", line=error.stderr_tail)
            return outcome_from_error(error, largest_batch=attempt.largest_batch)
        except InputImageLost as error:
            return Failed(Failure(FailureKind.INPUT_IMAGE_LOST, str(error)))
        except LeaseLost:
            raise
        except Exception:
            # The edge of an attempt: a bug must fail this job, which would meet it again, and not the worker.
            log.exception("attempt.crashed")
            return Failed(Failure(FailureKind.INTERNAL, "Internal error. The cause is in the server log."))
