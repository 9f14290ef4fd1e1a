"""Runs one attempt from claim to verdict."""

import asyncio
from functools import partial

import structlog

from pipelet import tracing
from pipelet.concurrency.cancel import cancel_on
from pipelet.domain.errors import EngineError, OutOfMemory
from pipelet.domain.generation.plan import GenerationPlan, plan_generation
from pipelet.domain.jobs.job import Lease
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind, Outcome, Released
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.engine import Engine
from pipelet.domain.ports.store import Store
from pipelet.worker.attempt import Attempt, LeaseLost
from pipelet.worker.cancel_watcher import CancelWatcher
from pipelet.worker.config import WorkerConfig
from pipelet.worker.finish import Finisher, outcome_from_error
from pipelet.worker.images.input_images import InputImageLost
from pipelet.worker.images.metadata import request_details
from pipelet.worker.lease_keeper import LeaseKeeper

log = structlog.get_logger()


class AttemptRunner:
    """
    Args:
        force_stop: releases running attempts.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        store: Store,
        blobs: BlobStore,
        engine: Engine,
        leases: LeaseKeeper,
        cancels: CancelWatcher,
        finisher: Finisher,
        force_stop: asyncio.Event,
    ) -> None:
        self._config = config
        self._store = store
        self._blobs = blobs
        self._engine = engine
        self._leases = leases
        self._cancels = cancels
        self._finisher = finisher
        self._force_stop = force_stop
        self._max_megapixels_per_batch = config.model.max_megapixels_per_batch

    async def run(self, lease: Lease, engine_is_free: asyncio.Event) -> None:
        """Run an attempt and store its outcome. Never raises: the store and the log have what happened.

        `engine_is_free` is set when the attempt needs the engine no longer.
        """
        job = lease.job
        with (
            structlog.contextvars.bound_contextvars(request_id=job.id),
            tracing.request_span("attempt", job.id, app=job.app, attempt=job.attempt, worker=lease.worker),
            self._leases.hold(lease) as lost,
            self._cancels.watch(lease) as cancelled,
        ):
            plan = plan_generation(lease.job.spec, self._config.model)
            self._log_start(lease, plan)
            if job.attempt == 1:
                tracing.record("wait", start=job.submitted_at, end=job.started_at or job.submitted_at)
            attempt = self._build(lease, plan)
            try:
                outcome = await cancel_on(self._outcome(attempt, engine_is_free, cancelled), lost, self._force_stop)
                if not lost.is_set():
                    self._leases.mark_finishing(lease)
                    if not await self._finisher.finish(lease, plan, outcome or Released("the worker is shutting down")):
                        lost.set()
            except LeaseLost:
                lost.set()
            finally:
                engine_is_free.set()
                await attempt.close()
            if lost.is_set():
                log.warning("attempt.lease_lost", attempt=job.attempt)

    def _log_start(self, lease: Lease, plan: GenerationPlan) -> None:
        """Log in the next pass of the event loop: in this one the engine, idle until then, gets the job."""
        job = lease.job
        write = partial(
            log.info,
            "attempt.started",
            attempt=job.attempt,
            app=job.app,
            size=str(job.spec.size),
            native_size=str(plan.native.size),
        )
        asyncio.get_running_loop().call_soon(write)

    def _build(self, lease: Lease, plan: GenerationPlan) -> Attempt:
        config = self._config
        return Attempt(
            lease,
            store=self._store,
            blobs=self._blobs,
            engine=self._engine,
            plan=plan,
            max_megapixels_per_batch=self._max_megapixels_per_batch,
            details=request_details(lease.job, plan, version=config.version) if config.writes_metadata else None,
        )

    async def _outcome(self, attempt: Attempt, engine_is_free: asyncio.Event, cancelled: asyncio.Event) -> Outcome:
        try:
            await cancel_on(attempt.generate(), cancelled)
            engine_is_free.set()
            return await attempt.store()
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
