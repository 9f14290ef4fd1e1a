"""A harness: a real store, a real disk, real engine processes, and as many workers as a test wants."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.capacity.workers import WorkerHeartbeat
from pipelet.domain.catalog import ModelConfig
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.ports.blobs import BlobStore
from pipelet.engine.engine_process import EngineProcess
from pipelet.store.sqlite import open_sqlite
from pipelet.worker.config import WorkerConfig
from pipelet.worker.worker import Worker
from tests.support.databases import empty_sqlite
from tests.support.fork_server import children
from tests.support.jobs import APP
from tests.support.waiting import until

BACKENDS = "tests.support.backends"


class WorkerHarness:
    def __init__(self, folder: Path) -> None:
        path = folder / "pipelet.sqlite"
        path.write_bytes(empty_sqlite())
        self.store = open_sqlite(path)
        self.files = folder / "files"
        self.blobs = DiskBlobStore(self.files, signing_key=b"k", url_ttl_seconds=60)
        self.engines: list[EngineProcess] = []

    def build(
        self,
        backend: str = "gradient:Gradient",
        *,
        name: str = "w1",
        model: str = "zoo",
        lease_seconds: float = 5.0,
        grace_seconds: float = 20.0,
        stall_timeout_seconds: float = 20.0,
        blobs: BlobStore | None = None,
        writes_metadata: bool = True,
        quiet_seconds: float = 0.25,
        **fields: Any,
    ) -> Worker:
        """`fields` are those of the model's catalog entry."""
        model_config = ModelConfig(name=model, source="zoo", backend=f"{BACKENDS}.{backend}", **fields)
        config = WorkerConfig(
            name=name,
            apps=(APP,),
            model=model_config,
            version="0",
            lease_seconds=lease_seconds,
            grace_seconds=grace_seconds,
            writes_metadata=writes_metadata,
            quiet_seconds=quiet_seconds,
        )
        engine = EngineProcess(
            model=model_config,
            source="zoo",
            load_timeout=20.0,
            stall_timeout=stall_timeout_seconds,
        )
        self.engines.append(engine)
        return Worker(config, store=self.store, blobs=blobs or self.blobs, engine=engine)

    @asynccontextmanager
    async def worker(self, backend: str = "gradient:Gradient", **options: Any) -> AsyncIterator[Worker]:
        """A running worker, stopped at the end."""
        worker = self.build(backend, **options)
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
        return await self._once(job, lambda found: found.state is JobState.RUNNING)

    async def tasks_done(self, job: Job, tasks: int) -> Job:
        """The job, once so many are."""
        return await self._once(job, lambda found: found.progress is not None and found.progress.done >= tasks)

    async def live(self, condition: Callable[[WorkerHeartbeat], bool] = lambda _: True) -> WorkerHeartbeat:
        """The report of a worker, once there is one for which that is so."""

        async def found() -> WorkerHeartbeat | None:
            return next(filter(condition, await self.store.workers.live(time.time())), None)

        return await until(found)

    async def _once(self, job: Job, condition: Callable[[Job], bool], seconds: float = 20.0) -> Job:
        async def found() -> Job | None:
            at_present = await self.store.jobs.get(job.id)
            assert at_present is not None
            return at_present if condition(at_present) else None

        return await until(found, within=seconds)

    def stored(self) -> set[str]:
        """Keys of all files there are, but thumbnails, which come a little after the end of their request."""
        return {key for key in self._keys() if not key.startswith("thumbnails/")}

    def thumbnails(self) -> set[str]:
        return self._keys() - self.stored()

    def _keys(self) -> set[str]:
        return {str(path.relative_to(self.files)) for path in self.files.rglob("*") if path.is_file()}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[WorkerHarness]:
    harness = WorkerHarness(tmp_path)
    with children.installed():
        yield harness
    harness.store.close()
