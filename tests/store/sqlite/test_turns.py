"""How the embedded database finds turns and places: by plans that read a bounded number of rows."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelet.store.sqlite import open_sqlite
from pipelet.store.sqlite.connection.queries import SQL
from tests.support import databases

VALUES = {"apps": "[]", "seqs": "[]", "exclude_ids": "[]"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    databases.new_sqlite(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "pipelet.sqlite")) as connection:
        yield connection


class Values(dict[str, object]):
    def __missing__(self, name: str) -> object:
        return 1


def plan(database: sqlite3.Connection, query: str) -> list[str]:
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {SQL[query]}", Values(VALUES))]


@pytest.mark.parametrize("query", ["work_ahead", "work_ahead_many"])
def test_places_are_found_by_turn_and_arrival(database: sqlite3.Connection, query: str) -> None:
    """Ranges of rows are bounded by turn and arrival together; by turn alone, all rows of an equal turn are read."""
    steps = plan(database, query)

    of_rows = [step for step in steps if "USING INDEX job_turns" in step]
    of_runs = [step for step in steps if "queue_run USING PRIMARY KEY" in step and "priority>?" not in step]
    assert of_rows
    assert of_runs
    assert all("(turn,arrival)>(?,?) AND (turn,arrival)<(?,?)" in step for step in of_rows)
    assert all("(turn,seq)<(?,?)" in step for step in of_runs)
    assert not [step for step in steps if step in ("SCAN job", "SCAN queue_run")]


@pytest.mark.parametrize("query", ["next_job", "any_unlimited_job", "next_turn"])
def test_heads_are_found_without_sorting_the_queue(database: sqlite3.Connection, query: str) -> None:
    """Every look at waiting requests is a step into an index that has the order."""
    steps = [step for step in plan(database, query) if " job " in f"{step} " and "PRIMARY KEY" not in step]

    assert steps
    assert all("USING INDEX job_turns" in step or "USING COVERING INDEX job_turns" in step for step in steps)


def test_statistics_of_a_deep_queue_are_forgotten(tmp_path: Path) -> None:
    """After ANALYZE, positions would first read all that waits; the next process that opens the database deletes the
    statistics."""
    databases.new_sqlite(tmp_path)
    path = tmp_path / "pipelet.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as operator:
        operator.execute("ANALYZE")
        operator.execute("DELETE FROM sqlite_stat1")
        operator.execute("INSERT INTO sqlite_stat1 VALUES ('job', 'job_turns', '1000000 1000000 1000000 1000000 1 1')")
        operator.execute("INSERT INTO sqlite_stat1 VALUES ('queue_run', 'queue_run', '60000 60000 30000 30000 1 1')")
        operator.commit()
    assert [step for step in _plan_of(path, "work_ahead") if "BLOOM FILTER" in step]

    open_sqlite(path).close()

    assert [] == [step for step in _plan_of(path, "work_ahead") if "BLOOM FILTER" in step]


def _plan_of(path: Path, query: str) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return plan(connection, query)
