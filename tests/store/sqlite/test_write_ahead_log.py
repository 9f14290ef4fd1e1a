"""What SQLite keeps of deleted content."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

from pipelet.domain.ports.store import Store
from pipelet.store.sqlite import open_sqlite
from pipelet.store.sqlite.connection.connect import free_bytes, log_readers
from pipelet.store.sqlite.jobs import SqliteJobs
from tests.support.databases import empty_sqlite
from tests.support.jobs import make_job

MARK = "an input that is not to be kept " * 40


async def submit_and_delete(store: Store, count: int) -> None:
    jobs = [make_job(prompt=MARK) for _ in range(count)]
    await asyncio.gather(*map(store.jobs.submit, jobs))
    await asyncio.gather(*(store.jobs.cancel(job.id, 1_000_001.0) for job in jobs))
    while await store.jobs.delete_finished(2_000_000.0, 2_000_000.0, 50):
        pass


async def test_deleted_content_is_overwritten(tmp_path: Path) -> None:
    """Deleted content is neither in the file nor, once that is emptied, in the write-ahead log; emptying it blocks no
    writer."""
    path, log = tmp_path / "pipelet.sqlite", tmp_path / "pipelet.sqlite-wal"
    path.write_bytes(empty_sqlite())
    with contextlib.closing(open_sqlite(path)) as store:
        await submit_and_delete(store, 20)
        assert MARK[:30].encode() in log.read_bytes()
        kept = make_job(prompt="kept")
        await asyncio.gather(store.truncate_log(), store.jobs.submit(kept))
        await store.truncate_log()

        assert 0 == log.stat().st_size
        assert MARK[:30].encode() not in path.read_bytes()
        assert await store.jobs.get(kept.id) is not None
        free, size = free_bytes(path)
        assert 0 < free < size == path.stat().st_size


async def test_a_deleted_request_is_overwritten(tmp_path: Path) -> None:
    """What a user deletes is out of the file and of this process at once, and out of the log when that is emptied."""
    path, log = tmp_path / "pipelet.sqlite", tmp_path / "pipelet.sqlite-wal"
    path.write_bytes(empty_sqlite())
    with contextlib.closing(open_sqlite(path)) as store:
        job = make_job(prompt=MARK)
        await store.jobs.submit(job)
        await store.jobs.cancel(job.id, 1_000_001.0)
        await store.truncate_log()
        assert MARK[:30].encode() in path.read_bytes()
        assert await store.jobs.get(job.id) is not None

        await store.history.delete(job.id, 1_000_002.0)
        await store.truncate_log()

        assert 0 == log.stat().st_size
        assert MARK[:30].encode() not in path.read_bytes()
        assert isinstance(store.jobs, SqliteJobs)
        assert {} == store.jobs._job_cache


def test_a_reader_that_keeps_the_log_is_named(tmp_path: Path) -> None:
    """Another process whose read keeps deleted content in the log is found by its id; a short read is not."""
    path = tmp_path / "pipelet.sqlite"
    path.write_bytes(empty_sqlite())
    read = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN'); "
    read += "c.execute('SELECT * FROM job').fetchone(); print('reads', flush=True); sys.stdin.read()"
    with contextlib.closing(open_sqlite(path)) as store:
        asyncio.run(store.jobs.submit(make_job()))
        assert [] == log_readers(path)
        with subprocess.Popen(
            [sys.executable, "-c", read, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as reader:
            assert reader.stdout is not None
            reader.stdout.readline()
            assert [reader.pid] == log_readers(path)
            reader.kill()
        assert [] == log_readers(path)


async def test_a_long_read_blocks_no_writer(tmp_path: Path) -> None:
    """While a program reads, the log stays as it is and writes succeed; it is emptied when the program has ended."""
    path, log = tmp_path / "pipelet.sqlite", tmp_path / "pipelet.sqlite-wal"
    path.write_bytes(empty_sqlite())
    with contextlib.closing(open_sqlite(path)) as store:
        await store.jobs.submit(make_job())
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM job").fetchone()
            await store.jobs.submit(make_job())
            async with asyncio.timeout(3):
                await asyncio.gather(store.truncate_log(), store.jobs.submit(make_job()))
            assert log.stat().st_size > 0
        await store.truncate_log()

        assert 0 == log.stat().st_size
        assert 3 == sum(counts.queued for counts in (await store.queue.counts()).values())


def test_connections_overwrite_and_limit_the_log() -> None:
    """Connections overwrite deleted content, whatever this build of SQLite does by default."""
    from pipelet.store.sqlite.connection.connect import connect

    with contextlib.closing(connect(Path(":memory:"))) as connection:
        assert 1 == connection.execute("PRAGMA secure_delete").fetchone()[0]
        assert 64 * 2**20 == connection.execute("PRAGMA journal_size_limit").fetchone()[0]
