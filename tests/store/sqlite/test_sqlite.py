"""What is particular to the embedded store."""

import asyncio
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipelet.domain.errors import SchemaTooNew, StoreError
from pipelet.domain.jobs.job import JobState
from pipelet.store import queries
from pipelet.store.sqlite import open_sqlite
from pipelet.store.sqlite.connection.group_commit import GroupCommit
from pipelet.store.sqlite.migrate import migrate_sqlite
from tests.support import fork_server
from tests.support.disks import filled, small_disk
from tests.support.jobs import make_job
from tests.support.service import environment


def new_database(tmp_path: Path) -> Path:
    path = tmp_path / "pipelet.sqlite"
    migrate_sqlite(path)
    return path


@pytest.mark.parametrize("name", ["a?b", "50%20x", "with space", "größe", "a#b", "x" * 180])
def test_any_folder_name_works(tmp_path: Path, name: str) -> None:
    """The path of a database may contain every character that a file system allows."""
    (tmp_path / name).mkdir()

    open_sqlite(new_database(tmp_path / name)).close()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    """A migration that has nothing to do leaves the database as it is."""
    path = new_database(tmp_path)
    before = list(sqlite3.connect(path).iterdump())

    migrate_sqlite(path)

    assert before == list(sqlite3.connect(path).iterdump())


def test_processes_that_migrate_together_take_turns(tmp_path: Path) -> None:
    """Several processes that create the same database at once all succeed."""
    env = environment(data_dir=str(tmp_path))
    with (tmp_path / "log").open("w") as log:
        children = [
            fork_server.start(["migrate"], cwd=tmp_path, env=env, stdout=log.fileno(), stderr=log.fileno())
            for _ in range(4)
        ]

    assert [0] * 4 == [child.wait(60) for child in children]
    open_sqlite(tmp_path / "pipelet.sqlite").close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A database of a later version is left as it is, and the message says what to do."""
    path = new_database(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_migration VALUES ('9999', 0)")

    with pytest.raises(SchemaTooNew, match="newer version of Pipelet"):
        open_sqlite(path)


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 100, None])
def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A missing file, or one that is not a database, is named with what to do."""
    path = tmp_path / "pipelet.sqlite"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(StoreError, match=re.escape(str(path))):
        open_sqlite(path)


async def test_a_final_state_never_changes(tmp_path: Path) -> None:
    """The database itself refuses to move a job out of a final state."""
    path = new_database(tmp_path)
    store = open_sqlite(path)
    job = await store.jobs.submit(make_job())
    await store.jobs.cancel(job.id, 1_000_001.0)
    store.close()

    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError, match="never changes"):
        connection.execute("UPDATE job SET state = 'queued', finished_at = NULL, failure_kind = NULL")


async def test_a_returned_submit_survives_the_process(tmp_path: Path) -> None:
    """A job whose submit returned is there after the process was killed."""
    path = new_database(tmp_path)
    code = f"""
import asyncio, os, signal
from pathlib import Path
from pipelet.store.sqlite import open_sqlite
from tests.support.disks import filled, small_disk
from tests.support.jobs import make_job

async def main():
    store = open_sqlite(Path({str(path)!r}))
    print(*[(await store.jobs.submit(make_job())).id for _ in range(20)], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    store = open_sqlite(path)

    found = [await store.jobs.get(job_id) for job_id in child.stdout.split()]

    store.close()
    assert [JobState.QUEUED] * 20 == [job.state for job in found if job]


async def test_one_failing_write_spares_its_neighbours(tmp_path: Path) -> None:
    """Writes that share a commit fail alone: the others take effect, and the failed one does not."""
    path = tmp_path / "plain.sqlite"
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer = GroupCommit(connection, on_work=lambda: None, on_change=lambda: None)
    await writer.write(lambda db: db.execute("CREATE TABLE t (n INTEGER UNIQUE)") and None)

    def insert(*numbers: int) -> asyncio.Task[None]:
        def operation(db: sqlite3.Connection) -> None:
            for number in numbers:
                db.execute("INSERT INTO t VALUES (?)", (number,))

        return asyncio.create_task(writer.write(operation))

    results = await asyncio.gather(insert(1), insert(2, 1), insert(3), return_exceptions=True)
    writer.close()

    assert [type(None), sqlite3.IntegrityError, type(None)] == [type(result) for result in results]
    assert [(1,), (3,)] == sqlite3.connect(path).execute("SELECT n FROM t ORDER BY n").fetchall()


async def test_a_claim_does_not_wait_for_the_pause_between_commits(tmp_path: Path) -> None:
    """A write that need not be durable is committed at once, though a batch was committed just before."""
    connection = sqlite3.connect(tmp_path / "plain.sqlite", isolation_level=None, check_same_thread=False)
    writer = GroupCommit(connection, on_work=lambda: None, on_change=lambda: None, pause=3600)
    create = asyncio.create_task(writer.write(lambda db: db.execute("CREATE TABLE t (n INTEGER)") and None))
    await asyncio.sleep(0)
    insert = asyncio.create_task(writer.write(lambda db: db.execute("INSERT INTO t VALUES (1)") and None))
    await create

    claimed = await writer.write(lambda db: db.execute("SELECT count(*) FROM t").fetchone(), durable=False)
    await insert
    writer.close()

    assert (1,) == claimed


async def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    """With no space left a submit fails with the reason and leaves nothing behind; with space again it succeeds."""
    with small_disk(tmp_path / "disk") as disk:
        store = open_sqlite(new_database(disk))
        job = make_job(prompt="x" * 4000)
        with filled(disk):
            with pytest.raises(StoreError, match="disk is full"):
                await store.jobs.submit(job)
            assert await store.jobs.get(job.id) is None

        await store.jobs.submit(job)
        assert await store.jobs.get(job.id) is not None
        store.close()


@pytest.mark.parametrize(("package", "dialect"), [("sqlite", "sqlite"), ("postgres", "postgresql")])
def test_every_query_file_is_used(package: str, dialect: str) -> None:
    """There is no query that no code runs."""
    folder = Path(queries.__file__).parent
    folders = [folder, folder / "accounts", folder / "images", folder / package, folder / package / "connection"]
    code = "".join(path.read_text() for each in folders for path in each.glob("*.py"))

    assert [] == [name for name in queries.load(dialect) if f'"{name}"' not in code]


def test_every_part_of_a_query_is_used() -> None:
    """There is no shared text that no query names."""
    folder = Path(queries.__file__).with_name("sql")
    texts = "".join(path.read_text() for path in folder.glob("*/*/*.sql"))

    assert [] == [path for path in folder.glob("*/*/parts/*.sql") if f"{{{path.stem}}}" not in texts]
