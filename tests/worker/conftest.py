"""A workshop: a real store, a real disk, real engine processes, and as many workers as a test wants."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelet.blobs.disk import DiskBlobs
from pipelet.domain.catalog import Model
from pipelet.domain.clock import SystemClock
from pipelet.domain.job import Job
from pipelet.domain.ports import BlobStore
from pipelet.engine.process import EngineProcess
from pipelet.store.migrations.run import migrate_sqlite
from pipelet.store.sqlite import open_sqlite
from pipelet.worker.worker import Worker, WorkerConfig
from tests.jobs import APP

ZOO = "tests.engine.zoo"


class Workshop:
    def __init__(self, folder: Path) -> None:
        path = folder / "pipelet.sqlite"
        migrate_sqlite(path)
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
        async with asyncio.timeout(seconds):
            while True:
                found = await self.store.get(job.id)
                assert found is not None
                if found.state.is_final:
                    return found
                await asyncio.sleep(0.01)

    def stored(self) -> set[str]:
        """Keys of all files there are."""
        return {str(path.relative_to(self.files)) for path in self.files.rglob("*") if path.is_file()}


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    shop = Workshop(tmp_path)
    yield shop
    shop.store.close()
