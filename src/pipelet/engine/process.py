"""The engine: a child process that draws, watched by this one."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from pipelet.domain.catalog import Model
from pipelet.domain.engine import DrawnPart, EngineInfo, Part
from pipelet.domain.errors import EngineDied, EngineError, EngineStalled, ModelUnusable
from pipelet.engine import connection
from pipelet.engine.connection import Connection
from pipelet.engine.messages import FAILURES, Cancel, Draw, Drawn, Failed, Load, LoadFailed, Ready, TaskDone
from pipelet.engine.pixels import Release

log = structlog.get_logger()


class EngineProcess:
    """`domain.engine.Engine` by a child process, with the painter that the model names. Belongs to one event loop.

    Args:
        source: a folder or a hub id, resolved.
        device: `cpu`, `cuda:0` and the like, or `auto`.
        threads: of the CPU; None leaves them to the painter.
        load_timeout: seconds until loading counts as stalled.
        stall_timeout: seconds without a finished task until drawing counts as stalled.
    """

    def __init__(
        self,
        *,
        model: Model,
        source: str,
        device: str = "auto",
        threads: int | None = None,
        load_timeout: float = 900.0,
        stall_timeout: float = 300.0,
    ) -> None:
        self._load = Load(model=model, source=source, device=device, threads=threads)
        self._needs_hub = not Path(source).is_dir()
        self._load_timeout = load_timeout
        self._stall_timeout = stall_timeout
        self._turn = asyncio.Lock()
        self._child: Connection | None = None
        self._info: EngineInfo | None = None
        self._number = 0

    @property
    def is_running(self) -> bool:
        return self._info is not None and self._child is not None and self._child.is_alive

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._child.process.pid if self._child is not None else None

    async def start(self) -> EngineInfo:
        async with self._turn:
            if self._info is not None and self.is_running:
                return self._info
            await self.stop()
            child = self._child = await self._spawn()
            try:
                self._info = await self._await_ready(child)
            except BaseException:
                await _uninterrupted(child.kill())
                raise
            log.debug("engine.loaded", pid=child.process.pid, **asdict(self._info))
            return self._info

    async def draw(self, part: Part, on_task: Callable[[int], None]) -> DrawnPart:
        """See `domain.engine.Engine`. Three drawn parts may be unreleased; another drawing waits until one is released.

        `release` is to be called in this event loop's thread.
        """
        async with self._turn:
            child = self._child
            if child is None or self._info is None:
                raise EngineDied("The drawing process is not running.")
            slot = await child.slots.take()
            release = Release(child.slots.give_back, slot)
            try:
                if not child.is_alive:
                    raise await child.death()
                return await self._draw_into(child, slot, part, on_task, release)
            except BaseException:
                release()
                raise

    async def stop(self) -> None:
        child, self._child, self._info = self._child, None, None
        if child is not None:
            await _uninterrupted(child.close())

    async def _spawn(self) -> Connection:
        """Whole or not at all: cancelled half-way, a process would be left behind."""
        spawning = asyncio.create_task(connection.spawn(hub=self._needs_hub))
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            await _uninterrupted(_undo(spawning))
            raise

    async def _await_ready(self, child: Connection) -> EngineInfo:
        child.send(self._load)
        try:
            answer = await child.receive(self._load_timeout)
        except TimeoutError as error:
            raise EngineStalled(
                f"The model {self._load.source} was not loaded within {self._load_timeout:g} s; its process was ended.",
                last_words=child.last_words(),
            ) from error
        match answer:
            case Ready(device=device, seconds=seconds, notes=notes):
                for note in notes:
                    log.warning("engine.note", note=note)
                return EngineInfo(self._load.model.name, device, seconds)
            case LoadFailed(message=message):
                raise ModelUnusable(message)
        raise AssertionError(answer)

    async def _draw_into(
        self, child: Connection, slot: int, part: Part, on_task: Callable[[int], None], release: Release
    ) -> DrawnPart:
        shape = (part.count, part.spec.height, part.spec.width, 3)
        child.slots.make_room(slot, shape)
        pixels = child.slots.view(slot, shape)
        await child.inbox.fill(part.references)
        self._number += 1
        number = self._number
        try:
            child.send(
                Draw(
                    number=number,
                    spec=part.spec,
                    first=part.first,
                    count=part.count,
                    slot=slot,
                    references=tuple((each.shape[0], each.shape[1], 3) for each in part.references),  # type: ignore[index]
                )
            )
            drawn = await self._follow(child, part, on_task)
        except EngineError:
            raise
        except BaseException:
            # Cancelled, or `on_task` raised: the child is still drawing.
            await _uninterrupted(self._halt(child, number, part.job_id))
            raise
        return DrawnPart(pixels, drawn.seconds, release, drawn.used, drawn.has_nsfw_concepts)

    async def _follow(self, child: Connection, part: Part, on_task: Callable[[int], None]) -> Drawn:
        """Hear the child out until its drawing ends."""
        while True:
            try:
                message = await child.receive(self._stall_timeout)
            except TimeoutError as error:
                log.warning("engine.stalled", request_id=part.job_id, pid=child.process.pid)
                await _uninterrupted(child.kill())
                raise EngineStalled(
                    f"Drawing made no progress for {self._stall_timeout:g} s; its process was ended.",
                    last_words=child.last_words(),
                ) from error
            match message:
                case TaskDone(done=done):
                    on_task(done)
                case Drawn():
                    for note in message.notes:
                        log.warning("engine.note", request_id=part.job_id, note=note)
                    return message
                case Failed(kind=kind, message=reason):
                    raise FAILURES[kind](reason)
                case _:
                    raise AssertionError(message)

    async def _halt(self, child: Connection, number: int, job_id: str) -> None:
        """Make the child stop drawing; a child that does not within the stall limit is ended."""
        try:
            async with asyncio.timeout(self._stall_timeout):
                child.send(Cancel(number=number))
                while not isinstance(await child.receive(self._stall_timeout), Drawn | Failed):
                    pass
        except TimeoutError:
            log.warning("engine.deaf", request_id=job_id, pid=child.process.pid)
            await child.kill()
        except EngineDied as death:
            log.warning("engine.died", request_id=job_id, pid=child.process.pid, problem=str(death))


async def _undo(spawning: asyncio.Task[Connection]) -> None:
    await (await spawning).kill()


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` to its end, which is near; whoever cancels meanwhile is heard afterwards."""
    task = asyncio.create_task(work)
    interruption = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            interruption = error
    task.result()
    if interruption is not None:
        raise interruption
