"""Two workers with one name, as processes on a machine or on two."""

import signal
from pathlib import Path

import pytest

from tests.support.servers.postgres import Server
from tests.support.service import Service
from tests.support.waiting import eventually

LEASE_SECONDS = 5


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_name_is_one_workers_and_outlives_it_by_a_lease_at_most(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    """A second worker under a name ends with the advice to choose another, and the first draws on; after `kill -9` the
    next one under that name, as a service manager would start it, comes up by itself, and nothing is lost."""
    settings = {"lease_seconds": str(LEASE_SECONDS)}
    if database == "postgresql":
        server: Server = request.getfixturevalue("postgres_server")
        settings["database_url"] = server.new_database()
    with Service(tmp_path, arguments=("--workers", "0"), settings=settings) as service:
        first = service.start_worker("--name", "gpu-1")
        service.wait_for_worker()

        refused = service.run("worker", "--name", "gpu-1")
        assert 3 == refused.returncode
        assert "gpu-1" in refused.stderr
        assert "--name" in refused.stderr
        service.wait(service.submit("drawn by the first"))

        with service.paused():
            drawing = service.submit("begun before")
            service.wait(drawing, status="IN_PROGRESS")
            first.kill()
            first.wait(10)
        second = service.start_worker("--name", "gpu-1")
        assert "error" not in service.wait(drawing)
        assert "worker.name_wait" in service.log()

        second.send_signal(signal.SIGTERM)
        eventually(lambda: second.poll() is not None, why="the second worker ends")
        assert 0 == second.returncode
