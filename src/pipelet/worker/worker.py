"""The worker: generates one job at a time while the files of the previous ones are stored."""

import asyncio

import structlog

from pipelet.concurrency.background import background
from pipelet.concurrency.cancel import cancel_and_wait, cancel_on
from pipelet.domain.errors import OperationalError
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.engine import Engine
from pipelet.domain.ports.store import Store
from pipelet.services.thumbnails.thumbnails import Thumbnails
from pipelet.worker.attempt_runner import AttemptRunner
from pipelet.worker.attempt_watcher import AttemptWatcher
from pipelet.worker.claimer import Claimer
from pipelet.worker.config import WorkerConfig
from pipelet.worker.engine_restarter import EngineRestarter
from pipelet.worker.finish import Finisher
from pipelet.worker.heartbeat import LOADING, NAME_HINT, Heartbeat
from pipelet.worker.images.thumbnails import ThumbnailMaker
from pipelet.worker.lease_keeper import LeaseKeeper

log = structlog.get_logger()

_MAX_CONCURRENT_ATTEMPTS = 3
"""Maximum attempts at a time: one that generates, the others with files on their way to the store."""


class Worker:
    def __init__(self, config: WorkerConfig, *, store: Store, blobs: BlobStore, engine: Engine) -> None:
        self._config = config
        self._store = store
        self._engine = engine
        self._stopping = asyncio.Event()
        self._force_stop = asyncio.Event()
        self._stop_requested = False
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT_ATTEMPTS)
        self._attempts: set[asyncio.Task[None]] = set()
        self._undrained = asyncio.Event()
        self._heartbeat = Heartbeat(
            config=config,
            store=store,
            on_drain=self._drain,
            on_continue=self._undrain,
            on_name_lost=self._stopping.set,
        )
        self._engine_starter = EngineRestarter(engine, heartbeat=self._heartbeat)
        self._leases = LeaseKeeper(config, store)
        self._signals = AttemptWatcher(self._leases, store, engine, config.name)
        self._thumbnails = ThumbnailMaker(Thumbnails(store, blobs), quiet_seconds=config.quiet_seconds)
        finisher = Finisher(store, self._heartbeat)
        self._claimer = Claimer(
            config=config,
            store=store,
            leases=self._leases,
            finisher=finisher,
            stopping=self._stopping,
            force_stop=self._force_stop,
        )
        self._runner = AttemptRunner(
            config=config,
            store=store,
            blobs=blobs,
            engine=engine,
            leases=self._leases,
            finisher=finisher,
            thumbnails=self._thumbnails,
            force_stop=self._force_stop,
        )

    def stop(self) -> None:
        """Claim nothing more; finish running attempts within the grace time, else release them. Twice: at once."""
        if not self._stop_requested:
            log.info("worker.stopping", worker=self._config.name, grace_seconds=self._config.grace_seconds)
            self._stop_requested = True
            self._stopping.set()
            asyncio.get_running_loop().call_later(self._config.grace_seconds, self._force_stop.set)
        else:
            self._force_stop.set()

    @property
    def was_drained(self) -> bool:
        """Whether the worker ended because an operator drained it, not because of `stop`."""
        return self._stopping.is_set() and not self._stop_requested

    def _drain(self) -> None:
        """Stop without a grace time: running attempts get all the time they need."""
        if self._stopping.is_set():
            return
        log.info("worker.draining", running=len(self._attempts))
        self._heartbeat.set_problem("The worker is draining: it exits when its running requests have finished.")
        self._undrained.clear()
        self._stopping.set()

    def _undrain(self) -> None:
        """Claim again, if an operator took a drain back while requests were running."""
        if self.was_drained and not self._heartbeat.name_lost:
            log.info("worker.undrained", running=len(self._attempts))
            self._heartbeat.set_problem(None if self._engine.is_running else LOADING)
            self._stopping.clear()
            self._undrained.set()

    async def run(self) -> None:
        """Work until `stop`, or until an operator drains the worker; then leave nothing behind.

        Raises:
            OperationalError: other workers serve the same apps with another model, or another worker has this name.
        """
        with structlog.contextvars.bound_contextvars(worker=self._config.name):
            await self._require_same_model()
            if not await cancel_on(self._heartbeat.register(), self._stopping):
                await self._heartbeat.deregister()
                return
            try:
                await self._run_registered()
            finally:
                await self._engine.stop()
                await self._heartbeat.deregister()
                log.info("worker.stopped")
            if self._heartbeat.name_lost:
                raise OperationalError(
                    f"Another worker took the name {self._config.name} while this one sent no heartbeat. {NAME_HINT}"
                )

    async def _run_registered(self) -> None:
        async with (
            background(self._leases.renew_leases(), self._heartbeat.run(), self._signals.run(), self._thumbnails.run()),
            self._store.subscribe_work() as notified,
            background(_fan_out(notified, self._claimer.work_available, self._signals.poll_now)),
        ):
            is_working = True
            while is_working:
                await self._loop()
                is_working = await self._wait_for_attempts()

    async def _wait_for_attempts(self) -> bool:
        """Wait until the running attempts have ended. Returns True, at once, if a drain is taken back before."""
        undrained = asyncio.create_task(self._undrained.wait())
        try:
            while self._stopping.is_set() and self._attempts:
                await asyncio.wait({undrained, *self._attempts}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await cancel_and_wait(self._attempts)
            raise
        finally:
            undrained.cancel()
        return not self._stopping.is_set()

    async def _loop(self) -> None:
        while not self._stopping.is_set():
            if not self._engine.is_running:
                await cancel_on(self._engine_starter.run(), self._force_stop, self._stopping)
                continue
            await self._slots.acquire()
            lease = None if self._stopping.is_set() else await self._claimer.claim()
            if lease is None:
                self._slots.release()
                continue
            self._thumbnails.defer()
            engine_is_free = asyncio.Event()
            attempt = asyncio.create_task(self._runner.run(lease, engine_is_free))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempts.discard)
            attempt.add_done_callback(lambda _: self._slots.release())
            await engine_is_free.wait()
            self._thumbnails.defer()

    async def _require_same_model(self) -> None:
        """All workers of an app must use the same model."""
        mine = self._config.model.name
        for other in await self._store.workers.live(self._store.clock.now()):
            if other.model != mine and other.name != self._config.name and set(other.apps) & set(self._config.apps):
                raise OperationalError(
                    f"The worker {other.name} serves the same apps with the model {other.model}, and this one has "
                    f"{mine}. Start this one with --model {other.model}, or stop the others first."
                )


async def _fan_out(notified: asyncio.Event, *events: asyncio.Event) -> None:
    """Set one event per consumer: each clears its own before it polls, so none misses a notification."""
    while True:
        await notified.wait()
        notified.clear()
        for event in events:
            event.set()
