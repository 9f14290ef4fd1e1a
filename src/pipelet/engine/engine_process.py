"""The engine: a child process that generates, supervised by this one."""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from pipelet.concurrency.cancel import shielded
from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import EngineDied, EngineError, EngineTimeout, ModelLoadError
from pipelet.domain.generation.preview import PreviewPixels
from pipelet.domain.ports.engine import EngineInfo, GeneratedBatch, MicroBatch
from pipelet.engine import child_pipes, messages
from pipelet.engine.child_pipes import ChildProcess

log = structlog.get_logger()


class EngineProcess:
    """Implements `domain.ports.engine.Engine` with a child process that runs the model's backend, for one event loop.

    Args:
        source: a folder or a hub id, resolved.
        device: `cpu`, `cuda:0` and the like, or `auto`.
        load_timeout: seconds until loading counts as stalled.
        stall_timeout: seconds without a finished task until generation counts as stalled.
    """

    def __init__(
        self,
        *,
        model: ModelConfig,
        source: str,
        device: str = "auto",
        load_timeout: float = 900.0,
        stall_timeout: float = 300.0,
    ) -> None:
        self._load = messages.Load(model=model, source=source, device=device)
        self._needs_hub = not all(Path(each).is_dir() for each in (source, model.preview_decoder) if each)
        self._load_timeout = load_timeout
        self._stall_timeout = stall_timeout
        self._lock = asyncio.Lock()
        self._child: ChildProcess | None = None
        self._info: EngineInfo | None = None
        self._number = 0
        self._generating = ""
        self._watched = _Watched("", 0.0)

    @property
    def is_running(self) -> bool:
        return self._info is not None and self._child is not None and self._child.is_alive

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._child.process.pid if self._child is not None else None

    async def start(self) -> EngineInfo:
        async with self._lock:
            if self._info is not None and self.is_running:
                return self._info
            await self.stop()
            child = self._child = await self._spawn()
            try:
                self._info = await self._await_ready(child)
            except BaseException:
                await shielded(child.kill())
                raise
            log.debug("engine.loaded", pid=child.process.pid, **asdict(self._info))
            return self._info

    async def generate(
        self,
        batch: MicroBatch,
        on_progress: Callable[[int], None],
        on_preview: Callable[[PreviewPixels], None] = lambda preview: None,
    ) -> GeneratedBatch:
        """See `domain.ports.engine.Engine`. Waits while three generated batches are unreleased.

        Call `release` in the thread of this event loop.
        """
        async with self._lock:
            child = self._child
            if child is None or self._info is None:
                raise EngineDied("The engine process is not running.")
            slot = await child.slots.free.get()
            with ExitStack() as held:
                held.callback(child.slots.free.put_nowait, slot)
                if not child.is_alive:
                    raise await child.wait_for_exit()
                pixels = child.slots.view(slot, (batch.count, batch.spec.height, batch.spec.width, 3))
                done = await self._generate_into(child, slot, batch, _Callbacks(on_progress, on_preview))
                release = held.pop_all().close  # further calls do nothing
            return GeneratedBatch(pixels, done.seconds, release, done.report.used, done.report.has_nsfw_concepts)

    def request_previews(self, job_id: str, seconds: float) -> None:
        self._watched = _Watched(job_id, time.monotonic() + seconds)
        if job_id == self._generating and self._child is not None:
            self._child.send(messages.MakePreviews(number=self._number, seconds=seconds))

    async def stop(self) -> None:
        child, self._child, self._info = self._child, None, None
        if child is not None:
            await shielded(child.close())

    async def _spawn(self) -> ChildProcess:
        """Finish spawning even when cancelled: a half-started process would be left behind."""
        spawning = asyncio.create_task(child_pipes.spawn(hub=self._needs_hub))
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            await shielded(_release_buffers(spawning))
            raise

    async def _await_ready(self, child: ChildProcess) -> EngineInfo:
        child.send(self._load)
        try:
            reply = await child.receive(self._load_timeout)
        except TimeoutError as error:
            raise EngineTimeout(
                f"The model {self._load.source} did not load within {self._load_timeout:g} s; it was killed.",
                stderr_tail=child.stderr_tail(),
            ) from error
        match reply:
            case messages.Ready(device=device, seconds=seconds, notes=notes):
                for note in notes:
                    log.warning("engine.note", note=note)
                return EngineInfo(self._load.model.name, device, seconds)
            case messages.LoadFailed(message=message):
                raise ModelLoadError(message)
        raise AssertionError(reply)

    async def _generate_into(
        self, child: ChildProcess, slot: int, batch: MicroBatch, callbacks: "_Callbacks"
    ) -> messages.Generated:
        await child.inbox.fill(batch.input_images)
        self._number += 1
        number = self._number
        self._generating = batch.job_id
        try:
            child.send(
                messages.Generate(
                    number=number,
                    spec=batch.spec,
                    first=batch.first,
                    count=batch.count,
                    slot=slot,
                    input_images=tuple((each.shape[0], each.shape[1], 3) for each in batch.input_images),  # type: ignore[index]
                    preview_seconds=self._watched.seconds_left(batch.job_id),
                )
            )
            return await self._await_result(child, batch, callbacks)
        except EngineError:
            raise
        except BaseException:
            # Cancelled, or `on_progress` raised: the child is still generating.
            await shielded(self._cancel_generation(child, number, batch.job_id))
            raise
        finally:
            self._generating = ""

    async def _await_result(
        self, child: ChildProcess, batch: MicroBatch, callbacks: "_Callbacks"
    ) -> messages.Generated:
        """Receive messages until the micro-batch ends."""
        while True:
            try:
                message = await child.receive(self._stall_timeout)
            except TimeoutError as error:
                log.warning("engine.stalled", request_id=batch.job_id, pid=child.process.pid)
                await shielded(child.kill())
                raise EngineTimeout(
                    f"Generation made no progress for {self._stall_timeout:g} s; it was killed.",
                    stderr_tail=child.stderr_tail(),
                ) from error
            match message:
                case messages.TasksDone(done=done):
                    callbacks.on_progress(done)
                case messages.PreviewMade() as made:
                    callbacks.on_preview(PreviewPixels(made.index, made.step, child.previews.read(made)))
                case messages.Generated():
                    for note in message.report.notes:
                        log.warning("engine.note", request_id=batch.job_id, note=note)
                    return message
                case messages.GenerateFailed(kind=kind, message=reason):
                    raise messages.ERROR_TYPES[kind](reason)
                case _:
                    raise AssertionError(message)

    async def _cancel_generation(self, child: ChildProcess, number: int, job_id: str) -> None:
        """Cancel in the child; if it does not stop within the stall timeout, kill it."""
        try:
            async with asyncio.timeout(self._stall_timeout):
                child.send(messages.Cancel(number=number))
                ends = messages.Generated | messages.GenerateFailed
                while not isinstance(await child.receive(self._stall_timeout), ends):
                    pass
        except TimeoutError:
            log.warning("engine.cancel_timeout", request_id=job_id, pid=child.process.pid)
            await child.kill()
        except EngineDied as error:
            log.warning("engine.died", request_id=job_id, pid=child.process.pid, problem=str(error))


@dataclass(frozen=True, slots=True)
class _Callbacks:
    on_progress: Callable[[int], None]
    on_preview: Callable[[PreviewPixels], None]


@dataclass(frozen=True, slots=True)
class _Watched:
    """The job that previews were last requested of."""

    job_id: str
    until: float
    """By the monotonic clock."""

    def seconds_left(self, job_id: str) -> float:
        return max(self.until - time.monotonic(), 0.0) if job_id == self.job_id else 0.0


async def _release_buffers(spawning: asyncio.Task[ChildProcess]) -> None:
    await (await spawning).kill()
