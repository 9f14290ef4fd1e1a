"""What SQLite keeps of what was deleted."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

from pipelet.domain.ports import JobStore
from pipelet.store.sqlite import open_sqlite
from pipelet.store.sqlite_base import free_bytes
from tests.databases import empty_sqlite
from tests.jobs import make_job

MARK = "an input that is not to be kept " * 40


async def submit_and_delete(store: JobStore, count: int) -> None:
    jobs = [make_job(prompt=MARK) for _ in range(count)]
    await asyncio.gather(*map(store.submit, jobs))
    await asyncio.gather(*(store.cancel(job.id, 1_000_001.0) for job in jobs))
    while await store.delete_finished(2_000_000.0, 2_000_000.0, 50):
        pass


async def test_nothing_is_left_of_what_was_deleted(tmp_path: Path) -> None:
    """Not in the file, and not in the log of writes once that was emptied, which takes no writer out of its turn."""
    path, log = tmp_path / "pipelet.sqlite", tmp_path / "pipelet.sqlite-wal"
    path.write_bytes(empty_sqlite())
    with contextlib.closing(open_sqlite(path)) as store:
        await submit_and_delete(store, 20)
        assert MARK[:30].encode() in log.read_bytes()
        kept = make_job(prompt="kept")
        await asyncio.gather(store.truncate_log(), store.submit(kept))
        await store.truncate_log()

        assert 0 == log.stat().st_size
        assert MARK[:30].encode() not in path.read_bytes()
        assert await store.get(kept.id) is not None
        free, size = free_bytes(path)
        assert 0 < free < size == path.stat().st_size


async def test_a_program_that_reads_for_long_holds_up_no_writer(tmp_path: Path) -> None:
    """The log then stays as it is, and writes go on; it is emptied when the program has ended."""
    path, log = tmp_path / "pipelet.sqlite", tmp_path / "pipelet.sqlite-wal"
    path.write_bytes(empty_sqlite())
    with contextlib.closing(open_sqlite(path)) as store:
        await store.submit(make_job())
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM job").fetchone()
            await store.submit(make_job())
            async with asyncio.timeout(3):
                await asyncio.gather(store.truncate_log(), store.submit(make_job()))
            assert log.stat().st_size > 0
        await store.truncate_log()

        assert 0 == log.stat().st_size
        assert 3 == sum(counts.queued for counts in (await store.counts()).values())


def test_our_connections_overwrite_and_cut() -> None:
    """Whatever this build of SQLite does by default."""
    from pipelet.store.sqlite_base import connect

    with contextlib.closing(connect(Path(":memory:"))) as connection:
        assert 1 == connection.execute("PRAGMA secure_delete").fetchone()[0]
        assert 64 * 2**20 == connection.execute("PRAGMA journal_size_limit").fetchone()[0]
