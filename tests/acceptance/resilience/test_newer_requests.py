"""A worker that was not upgraded yet, next to an API that was."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.jobs import APP
from tests.support.servers.postgres import Server
from tests.support.service import Service

FROM_THE_FUTURE = "'{\"from_the_future\": 1, '"
Execute = Callable[[str], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, str], Execute]:
    """The settings of a service on it, and what runs a statement in it and returns a number."""
    if request.param == "sqlite":

        def in_file(statement: str) -> str:
            with contextlib.closing(sqlite3.connect(tmp_path / "data" / "pipelet.sqlite")) as connection:
                found = connection.execute(statement).fetchone()
                connection.commit()
            return str(found[0]) if found else ""

        return {}, in_file
    server: Server = request.getfixturevalue("postgres_server")
    url = server.new_database()
    return {"database_url": url}, lambda statement: server.psql(statement, url)


def test_a_worker_leaves_what_it_cannot_read_to_newer_ones(
    tmp_path: Path, database: tuple[dict[str, str], Execute]
) -> None:
    """A request with a field that the worker does not know waits, at no cost and with its place, while the worker
    generates those behind it; its status is told, the log says what to do, and a worker that knows it generates it."""
    settings, execute = database
    with Service(tmp_path, arguments=("--workers", "0"), settings=settings) as service:
        newer = service.submit("of a newer version", priority=5)
        execute(f"UPDATE job SET spec = {FROM_THE_FUTURE} || substr(spec, 2) WHERE id = '{newer}'")  # noqa: S608
        workers = [service.start_worker("--name", "older")]
        for number in range(3):
            service.wait(service.submit(f"behind it {number}"))

        code, status = service.call("GET", f"/fal/queue/{APP}/requests/{newer}/status?logs=1")
        assert (202, "IN_QUEUE", 0) == (code, status["status"], status["queue_position"])
        assert "too old" in status["logs"][-1]["message"]
        assert "0" == execute(f"SELECT attempt FROM job WHERE id = '{newer}'")  # noqa: S608
        [told] = service.lines("request.worker_too_old")
        assert (newer, ["from_the_future"]) == (told["request_id"], told["unknown_fields"])
        assert "Upgrade" in told["reason"]

        execute(f"UPDATE job SET spec = replace(spec, {FROM_THE_FUTURE}, '{{') WHERE id = '{newer}'")  # noqa: S608
        workers.append(service.start_worker("--name", "newer"))
        assert "error" not in service.wait(newer)
        [begun] = service.lines("attempt.started", request_id=newer)
        assert ("newer", 1) == (begun["worker"], begun["attempt"])
        for worker in workers:
            worker.terminate()
            assert 0 == worker.wait(20)
