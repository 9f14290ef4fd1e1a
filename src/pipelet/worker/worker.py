"""The worker: one engine, one job drawn at a time, the last one's files being stored meanwhile."""

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.catalog import Model
from pipelet.domain.engine import Engine
from pipelet.domain.errors import DrawOutOfMemory, EngineError, StoreUnusable, Unusable
from pipelet.domain.estimate import drawing, work_of
from pipelet.domain.ids import new_token
from pipelet.domain.job import Job, Lease, NewLease
from pipelet.domain.outcome import Cancelled, Failed, Failure, FailureKind, HandedBack, Interrupted, Outcome, Succeeded
from pipelet.domain.ports import BlobStore, Clock, JobStore
from pipelet.domain.workers import ReportAnswer, WorkerReport
from pipelet.worker.attempt import Attempt, LeaseLost
from pipelet.worker.cancels import Cancels
from pipelet.worker.engine_start import EngineStart
from pipelet.worker.every import every
from pipelet.worker.lease import LeaseKeeper
from pipelet.worker.metadata import details_of
from pipelet.worker.name import OWN_NAMES, take_name
from pipelet.worker.outcomes import outcome_of
from pipelet.worker.persist import persist
from pipelet.worker.references import ReferenceLost
from pipelet.worker.unless import unless

log = structlog.get_logger()

_LOOK_AROUND = 0.5
"""Seconds after which an idle worker looks by itself, should it have missed the call."""
_PASSED_OVER = 1000
"""So many requests that need a newer worker are remembered; before that many wait, the workers should be upgraded."""
_CANCELS_SECONDS = 1.0
"""After which a worker that draws looks whether it is to stop, should it have missed the call."""
_LEAST_BETWEEN_LOOKS = 0.2
"""Every submit rings, too: a worker that draws need not look at each."""
_BACKLOG = 3
"""Attempts at once: one that draws, the others with files on their way to the store."""
_CLAIM_MAX_BACKOFF = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    name: str
    apps: tuple[str, ...]
    model: Model
    version: str
    lease_seconds: float
    grace_seconds: float
    """How long what runs may go on after `stop`; then it is handed back."""
    writes_metadata: bool = True
    """Whether files say how they were made."""


class Worker:
    def __init__(
        self, config: WorkerConfig, *, store: JobStore, blobs: BlobStore, engine: Engine, clock: Clock
    ) -> None:
        self._config = config
        self._store = store
        self._blobs = blobs
        self._engine = engine
        self._clock = clock
        self._leases = LeaseKeeper(store, clock, config.lease_seconds)
        self._cancels = Cancels(store, config.name)
        self._megapixels_per_run = config.model.megapixels_per_run
        self._kind = config.model.name
        self._problem: str | None = "The model is being loaded."
        self._stopping = asyncio.Event()
        self._told_to_stop = False
        self._incarnation = new_token()
        self._lost_its_name = False
        self._passed_over: deque[str] = deque(maxlen=_PASSED_OVER)
        self._hurry = asyncio.Event()
        self._news = asyncio.Event()
        self._backlog = asyncio.Semaphore(_BACKLOG)
        self._attempts: set[asyncio.Task[None]] = set()
        self._claim_backoff = Backoff(initial=_LOOK_AROUND, maximum=_CLAIM_MAX_BACKOFF)
        self._throttle = LogThrottle()
        self._engine_start = EngineStart(engine, worker=config.name, on_problem=self._set_problem)

    def stop(self) -> None:
        """Claim nothing more; finish what runs within the grace time, else hand it back. Called again: at once."""
        if not self._told_to_stop:
            log.info("worker.stopping", worker=self._config.name, grace_seconds=self._config.grace_seconds)
            self._told_to_stop = True
            self._stopping.set()
            asyncio.get_running_loop().call_later(self._config.grace_seconds, self._hurry.set)
        else:
            self._hurry.set()

    @property
    def was_drained(self) -> bool:
        """It ended because an operator had it drained, not because of `stop`."""
        return self._stopping.is_set() and not self._told_to_stop

    def _drain(self) -> None:
        """As `stop`, with all the time that what runs needs."""
        if self._stopping.is_set():
            return
        log.info("worker.draining", worker=self._config.name, running=len(self._attempts))
        self._set_problem("It is being drained: it finishes what it draws, then it ends.")
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`, or until an operator has the worker drained; then leave nothing behind.

        Raises:
            Unusable: other workers draw the same apps with another model, or another one has this one's name.
        """
        await self._refuse_another_model()
        beat = self._config.lease_seconds / 4
        if not await unless(take_name(self._store, self._about_itself, look_every=beat / 2), self._stopping):
            await self._sign_off()
            return
        beside = [
            asyncio.create_task(every(beat, self._leases.beat, name="leases", max_backoff=beat)),
            asyncio.create_task(every(0, partial(self._report_after, beat), name="worker_report", max_backoff=beat)),
        ]
        try:
            async with self._store.work_arrived() as rung:
                work_arrived, look = asyncio.Event(), asyncio.Event()
                beside.append(asyncio.create_task(_pass_on(rung, work_arrived, look)))
                beside.append(
                    asyncio.create_task(every(_LEAST_BETWEEN_LOOKS, partial(self._heed, look), name="cancels"))
                )
                await self._work(work_arrived)
            await asyncio.gather(*self._attempts)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._engine.stop()
            await self._sign_off()
            log.info("worker.stopped", worker=self._config.name)
        if self._lost_its_name:
            raise Unusable(
                f"Another worker has taken the name {self._config.name} while this one was not heard of. {OWN_NAMES}"
            )

    async def _heed(self, look: asyncio.Event) -> None:
        await unless(asyncio.sleep(_CANCELS_SECONDS), look)
        look.clear()
        await self._cancels.look()

    async def _refuse_another_model(self) -> None:
        """Which worker gets a request is chance; which model draws it must not be."""
        mine = self._config.model.name
        for other in await self._store.live_workers(self._clock.now()):
            if other.model != mine and other.name != self._config.name and set(other.apps) & set(self._config.apps):
                raise Unusable(
                    f"The worker {other.name} draws the same apps with the model {other.model}, this one would with "
                    f"{mine}. Start this one with --model {other.model}, or stop the others first."
                )

    async def _work(self, work_arrived: asyncio.Event) -> None:
        while not self._stopping.is_set():
            if not self._engine.is_running:
                await unless(self._start_engine(), self._hurry, self._stopping)
                continue
            await self._backlog.acquire()
            lease = None if self._stopping.is_set() else await self._next_job(work_arrived)
            if lease is None:
                self._backlog.release()
                continue
            engine_is_free = asyncio.Event()
            attempt = asyncio.create_task(self._attempt(lease, engine_is_free))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)
            attempt.add_done_callback(lambda _: self._backlog.release())
            await engine_is_free.wait()

    async def _start_engine(self) -> None:
        info = await self._engine_start.run()
        log.info(
            "engine.ready",
            worker=self._config.name,
            model=info.model,
            device=info.device,
            seconds=info.load_seconds,
        )
        self._kind = f"{info.model} on {info.device}"
        self._set_problem(None)

    def _set_problem(self, problem: str | None) -> None:
        """Reported at once; a worker with a problem is not counted on."""
        self._problem = problem
        self._news.set()

    async def _next_job(self, work_arrived: asyncio.Event) -> Lease | None:
        work_arrived.clear()  # before looking: what arrives from now on sets it again
        now = self._clock.now()
        want = NewLease(
            worker=self._config.name,
            apps=self._config.apps,
            token=new_token(),
            now=now,
            expires_at=now + self._config.lease_seconds,
            passed_over=tuple(self._passed_over),
        )
        try:
            lease = await self._store.claim(want)
        except StoreUnusable as error:
            self._throttle.write(log.error, "claim.failed", worker=self._config.name, reason=str(error))
            await unless(asyncio.sleep(self._claim_backoff.next()), self._stopping)
            return None
        self._claim_backoff.reset()
        if lease is None:
            await unless(asyncio.sleep(_LOOK_AROUND), self._stopping, work_arrived)
        elif lease.job.spec.unread:
            await unless(self._leave_to_newer(lease), self._hurry)
            return None
        return lease

    async def _leave_to_newer(self, lease: Lease) -> None:
        """What a newer version asks for would be drawn wrongly: it waits for a worker that knows it, at no cost."""
        job = lease.job
        log.error(
            "request.needs_newer_worker",
            request_id=job.id,
            worker=self._config.name,
            version=self._config.version,
            unread=job.spec.unread,
            reason="It was submitted to a newer version of Pipelet. Upgrade this worker.",
        )
        self._passed_over.append(job.id)
        with self._leases.hold(lease):
            back = HandedBack("this worker's version is too old for it")
            await persist(lambda: self._store.finish(lease, back, self._clock.now()), request_id=job.id)

    async def _attempt(self, lease: Lease, engine_is_free: asyncio.Event) -> None:
        """From claim to verdict. Never raises: what happens is a row in the store and a line in the log."""
        job, config = lease.job, self._config
        started = partial(
            log.info,
            "attempt.started",
            request_id=job.id,
            worker=self._config.name,
            attempt=job.attempt,
            app=job.app,
            size=str(job.spec.size),
            drawn_at=str(config.model.drawn(job.spec).size),
        )
        # In the next pass of the event loop: in this one the request is sent to the engine, which is idle until then.
        asyncio.get_running_loop().call_soon(started)
        details = details_of(job, model=config.model, version=config.version) if config.writes_metadata else None
        with self._leases.hold(lease) as lost, self._cancels.watch(lease) as cancelled:
            attempt = Attempt(
                lease,
                store=self._store,
                blobs=self._blobs,
                engine=self._engine,
                model=self._config.model,
                megapixels_per_run=self._megapixels_per_run,
                details=details,
            )
            try:
                outcome = await unless(self._outcome(attempt, engine_is_free, cancelled), lost, self._hurry)
                if not lost.is_set():
                    await self._end(attempt, outcome or HandedBack("the worker is shutting down"), lost)
            except LeaseLost:
                lost.set()
            finally:
                engine_is_free.set()
                await attempt.close()
        if lost.is_set():
            log.warning("attempt.lost_its_lease", request_id=job.id, worker=self._config.name, attempt=job.attempt)

    async def _outcome(self, attempt: Attempt, engine_is_free: asyncio.Event, cancelled: asyncio.Event) -> Outcome:
        try:
            await unless(attempt.draw(), cancelled)
            engine_is_free.set()
            return await attempt.record()
        except EngineError as error:
            if isinstance(error, DrawOutOfMemory):
                # Such sizes one by one from now on; the next attempt will show whether that fits.
                held = self._config.model.megapixels_held(attempt.lease.job.spec)
                self._megapixels_per_run = min(self._megapixels_per_run, held)
            if error.last_words:
                log.warning("engine.last_words", request_id=attempt.lease.job.id, printed=error.last_words)
            return outcome_of(error, images_at_once=attempt.images_at_once)
        except ReferenceLost as error:
            return Failed(Failure(FailureKind.REFERENCE_LOST, str(error)))
        except LeaseLost:
            raise
        except Exception:
            # The edge of an attempt: a bug must cost this request, which would meet it again, not the worker its life.
            log.exception("attempt.crashed", request_id=attempt.lease.job.id, worker=self._config.name)
            return Failed(Failure(FailureKind.INTERNAL, "Internal error; the service's log tells more."))

    async def _end(self, attempt: Attempt, outcome: Outcome, lost: asyncio.Event) -> None:
        job = attempt.lease.job
        now = self._clock.now()
        self._leases.ending(attempt.lease)
        if not await persist(lambda: self._store.finish(attempt.lease, outcome, self._clock.now()), request_id=job.id):
            lost.set()
            return
        match outcome:
            case Succeeded(images, inference_seconds):
                log.info(
                    "attempt.succeeded", request_id=job.id, images=len(images), seconds=round(inference_seconds, 3)
                )
                await self._learn(job, inference_seconds=inference_seconds, finished_at=now)
            case Failed(failure):
                log.warning("attempt.failed", request_id=job.id, error_type=failure.kind, reason=failure.message)
            case Interrupted(failure):
                log.error("attempt.interrupted", request_id=job.id, attempt=job.attempt, reason=failure.message)
            case Cancelled(images):
                log.info("attempt.cancelled", request_id=job.id, images=len(images))
            case HandedBack(reason):
                log.info("attempt.handed_back", request_id=job.id, reason=reason)

    async def _learn(self, job: Job, *, inference_seconds: float, finished_at: float) -> None:
        record_seconds = finished_at - (job.started_at or finished_at) - inference_seconds
        try:
            await self._store.learn(self._kind, "draw", drawing(job.spec, self._config.model), inference_seconds)
            await self._store.learn(self._kind, "record", work_of(job.spec), max(record_seconds, 0.0))
        except StoreUnusable as error:  # the next request teaches the same
            log.warning("learning.skipped", request_id=job.id, reason=str(error))

    async def _report_after(self, seconds: float) -> None:
        """Report now; return when the next report is due, or at once when there is news."""
        self._news.clear()
        await self._report()
        await unless(asyncio.sleep(seconds), self._news)

    async def _sign_off(self) -> None:
        try:
            await self._store.forget_worker(self._config.name, self._incarnation)
        except StoreUnusable as error:  # its last report runs out
            log.warning("worker.not_signed_off", worker=self._config.name, reason=str(error))

    async def _report(self) -> None:
        match await self._store.report_worker(self._about_itself()):
            case ReportAnswer.DRAIN:
                self._drain()
            case ReportAnswer.NAME_TAKEN if not self._lost_its_name:
                log.error("worker.lost_its_name", worker=self._config.name, running=len(self._attempts))
                self._lost_its_name = True  # what runs is its own all the same, by its leases, and is finished
                self._stopping.set()

    def _about_itself(self) -> WorkerReport:
        now = self._clock.now()
        return WorkerReport(
            name=self._config.name,
            model=self._config.model.name,
            kind=self._kind,
            apps=self._config.apps,
            version=self._config.version,
            ready=self._problem is None,
            problem=self._problem,
            seen_at=now,
            expires_at=now + self._config.lease_seconds,
            incarnation=self._incarnation,
        )


async def _pass_on(rung: asyncio.Event, *ears: asyncio.Event) -> None:
    """Each has to clear its own when it looks: one that several clear would keep news from the others."""
    while True:
        await rung.wait()
        rung.clear()
        for ear in ears:
            ear.set()
