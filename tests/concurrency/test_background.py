"""Loops next to the main work of a command."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipelet import settings
from pipelet.cli.commands.operator.worker import _work
from pipelet.concurrency.background import background
from pipelet.domain.capacity.workers import WorkerHeartbeat
from pipelet.domain.errors import OperationalError
from pipelet.wiring.catalog import read_catalog
from pipelet.wiring.store import migrate, open_store
from tests.support.jobs import APP


class Recorder:
    """A store that records when it is closed, and a loop that needs a moment to end."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.events.append("store closed")

    async def loop(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.events.append("loop ended")


async def test_loops_end_before_the_store_is_closed() -> None:
    """Whether the main work returns or raises; its error keeps its type, which decides the exit code."""
    for error in (None, OperationalError("The name is taken.")):
        recorder = Recorder()

        with contextlib.nullcontext() if error is None else pytest.raises(OperationalError, match="name is taken"):
            async with recorder.store(), background(recorder.loop()):
                await asyncio.sleep(0)
                if error is not None:
                    raise error

        assert ["loop ended", "store closed"] == recorder.events


async def test_a_loop_that_crashes_ends_the_command() -> None:
    """The error is raised as it is, and the other loops end first."""
    recorder = Recorder()

    async def crash() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with recorder.store(), background(recorder.loop(), crash()):
            await asyncio.Event().wait()

    assert ["loop ended", "store closed"] == recorder.events


async def test_a_worker_that_may_not_start_leaves_nothing_running(tmp_path: Path) -> None:
    """A worker with another model than the live ones raises, and no loop of its command outlives the store."""
    chosen = settings.load(data_dir=tmp_path / "data", worker_app=APP)
    await asyncio.to_thread(migrate, chosen)
    now = time.time()
    other = WorkerHeartbeat(
        name="w1",
        model="another",
        profile="x",
        apps=(APP,),
        version="0",
        ready=True,
        problem=None,
        seen_at=now,
        expires_at=now + 60,
        incarnation="other",
    )
    async with open_store(chosen) as store:
        await store.workers.heartbeat(other)

    with pytest.raises(OperationalError, match=r"w1 .* another"):
        await _work(chosen, read_catalog(chosen), name="w2", until_stdin_closes=False)

    assert {asyncio.current_task()} == asyncio.all_tasks()
