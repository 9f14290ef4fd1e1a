"""Worker processes of `pipelet serve`: started, watched, restarted when they exit, stopped together."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.cancel import cancel_on, wait_for_event
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import StoreError
from pipelet.domain.ids import new_token
from pipelet.domain.ports.store import Store
from pipelet.system.processes import module_path

log = structlog.get_logger()

_HEALTHY_SECONDS = 10.0
"""Seconds after which a worker counts as healthy: if it exits later, the next one starts at once."""
_KILL_AFTER_GRACE_SECONDS = 10.0
_CLIENT_SETTINGS = ("PIPELET_API_KEY", "PIPELET_API_URL")
"""Settings of the command line that calls a service. A worker needs no key."""
_STOPPED = (0, 128 + signal.SIGTERM, -signal.SIGTERM)
"""Exit statuses after SIGTERM: in order, during the start, and before Python could handle signals."""
DRAINED = 10
"""Exit status of a supervised worker that was drained: not 0, which a stopped one has, too."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs, and for what."""

    device: str
    app: str | None = None
    """The worker loads the model of this app; None: the only model."""


@dataclass(eq=False)
class Supervisor:
    """One process for each of `places`. Their names begin with `host`, which tells two machines apart."""

    places: Sequence[Place]
    _: KW_ONLY
    host: str
    environment: Mapping[str, str]
    grace_seconds: float
    store: Store

    def __post_init__(self) -> None:
        self._stopping = asyncio.Event()
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def run(self) -> None:
        """Keep every place filled until `stop`, but for those of drained workers; returns when all have ended."""
        await asyncio.gather(*map(self._supervise, self.places))

    def stop(self) -> None:
        """Ask all to finish, and kill those that exceed the grace time. A second call makes them release what runs."""
        self._stopping.set()
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):  # it has just died
                process.terminate()

    async def _supervise(self, place: Place) -> None:
        backoff, throttle = Backoff(initial=0.4, maximum=30.0), LogThrottle()
        while not self._stopping.is_set():
            name = f"{self.host}-{place.device}-{new_token()[:8]}"
            started_at = self.store.clock.now()
            try:
                status = await self._run_process(name, place)
            except OSError as error:  # no process, no memory or no open file is left for it
                throttle.write(log.error, "worker.start_failed", device=place.device, reason=str(error))
                await wait_for_event(self._stopping, seconds=backoff.next())
                continue
            if self._stopping.is_set() and status in _STOPPED:
                return
            if status == DRAINED:
                log.warning(
                    "worker.drained", worker=name, device=place.device, reason="Its place is empty until a restart."
                )
                return
            log.error("worker.died", worker=name, exit_status=status)
            await self._requeue_jobs(name)
            if self.store.clock.now() - started_at > _HEALTHY_SECONDS:
                backoff.reset()
            await wait_for_event(self._stopping, seconds=backoff.next())

    async def _run_process(self, name: str, place: Place) -> int:
        """Run one worker process until it exits.

        Its standard input ends when we do, however we end: then it stops. It is in a session of its own, so that Ctrl-C
        reaches it through us, once.
        """
        inherited = {name: value for name, value in os.environ.items() if name not in _CLIENT_SETTINGS}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "pipelet", "worker"),
            *("--name", name, "--device", place.device, "--until-stdin-closes"),
            *(("--app", place.app) if place.app else ()),
            stdin=asyncio.subprocess.PIPE,
            env={**inherited, **self.environment, "PYTHONPATH": module_path()},
            start_new_session=True,
        )
        self._processes[name] = process
        if self._stopping.is_set():  # the stop was requested while the process started
            process.terminate()
        log.info("worker.started", worker=name, pid=process.pid, **({"app": place.app} if place.app else {}))
        try:
            status = await cancel_on(process.wait(), self._stopping)
            return await self._wait_or_kill(name, process) if status is None else status
        finally:
            del self._processes[name]

    async def _wait_or_kill(self, name: str, process: asyncio.subprocess.Process) -> int:
        """Return the exit status of a process that was asked to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.grace_seconds + _KILL_AFTER_GRACE_SECONDS):
                return await process.wait()
        log.error("worker.killed", worker=name, reason="It did not stop within the grace time.")
        process.kill()
        return await process.wait()

    async def _requeue_jobs(self, name: str) -> None:
        """Requeue the jobs of a dead worker now instead of waiting for its leases to expire."""
        try:
            for job in await self.store.leases.requeue_of_worker(name, self.store.clock.now()):
                log.warning("worker.job_requeued", worker=name, request_id=job.id, state=job.state)
        except StoreError as error:  # then the leases do run out
            log.warning("worker.cleanup_failed", worker=name, reason=str(error))
        except Exception:  # the other workers and the API continue
            log.exception("worker.cleanup_failed", worker=name)
