"""A workshop: a real store, a real disk, real engine processes, and as many workers as a test wants."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelet.blobs.disk import DiskBlobs
from pipelet.domain.catalog import Model
from pipelet.domain.clock import SystemClock
from pipelet.domain.job import Job, State
from pipelet.domain.ports import BlobStore
from pipelet.domain.workers import WorkerReport
from pipelet.engine.process import EngineProcess
from pipelet.store.sqlite import open_sqlite
from pipelet.worker.worker import Worker, WorkerConfig
from tests.databases import empty_sqlite
from tests.jobs import APP
from tests.waiting import until

ZOO = "tests.engine.zoo"


class Workshop:
    def __init__(self, folder: Path) -> None:
        path = folder / "pipelet.sqlite"
        path.write_bytes(empty_sqlite())
        self.store = open_sqlite(path)
        self.files = folder / "files"
        self.blobs = DiskBlobs(self.files, signing_key=b"k", url_seconds=60)
        self.clock = SystemClock()
        self.engines: list[EngineProcess] = []

    def build(
        self,
        animal: str = "gradient:Gradient",
        *,
        name: str = "w1",
        model: str = "zoo",
        lease_seconds: float = 5.0,
        grace_seconds: float = 20.0,
        stall_seconds: float = 20.0,
        blobs: BlobStore | None = None,
        writes_metadata: bool = True,
        **fields: Any,
    ) -> Worker:
        """`fields` are those of the model's catalog entry."""
        drawn_with = Model(name=model, source="zoo", painter=f"{ZOO}.{animal}", **fields)
        config = WorkerConfig(
            name=name,
            apps=(APP,),
            model=drawn_with,
            version="0",
            lease_seconds=lease_seconds,
            grace_seconds=grace_seconds,
            writes_metadata=writes_metadata,
        )
        engine = EngineProcess(
            model=drawn_with,
            source="zoo",
            load_timeout=20.0,
            stall_timeout=stall_seconds,
        )
        self.engines.append(engine)
        return Worker(config, store=self.store, blobs=blobs or self.blobs, engine=engine, clock=self.clock)

    @asynccontextmanager
    async def worker(self, animal: str = "gradient:Gradient", **options: Any) -> AsyncIterator[Worker]:
        """A running worker, stopped at the end."""
        worker = self.build(animal, **options)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await running

    async def ended(self, job: Job, seconds: float = 30.0) -> Job:
        """The job, once it is final."""
        return await self._once(job, lambda found: found.state.is_final, seconds)

    async def begun(self, job: Job) -> Job:
        """The job, once it runs."""
        return await self._once(job, lambda found: found.state is State.RUNNING)

    async def tasks_done(self, job: Job, tasks: int) -> Job:
        """The job, once so many are."""
        return await self._once(job, lambda found: found.progress is not None and found.progress.done >= tasks)

    async def live(self, condition: Callable[[WorkerReport], bool] = lambda _: True) -> WorkerReport:
        """The report of a worker, once there is one for which that is so."""

        async def found() -> WorkerReport | None:
            return next(filter(condition, await self.store.live_workers(time.time())), None)

        return await until(found)

    async def _once(self, job: Job, condition: Callable[[Job], bool], seconds: float = 20.0) -> Job:
        async def found() -> Job | None:
            at_present = await self.store.get(job.id)
            assert at_present is not None
            return at_present if condition(at_present) else None

        return await until(found, within=seconds)

    def stored(self) -> set[str]:
        """Keys of all files there are."""
        return {str(path.relative_to(self.files)) for path in self.files.rglob("*") if path.is_file()}


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    shop = Workshop(tmp_path)
    yield shop
    shop.store.close()
