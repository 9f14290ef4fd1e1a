"""The service on PostgreSQL, when that is not there."""

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.disks import filled, small_disk
from tests.support.jobs import APP
from tests.support.servers import postgres
from tests.support.servers.postgres import Server
from tests.support.service import Service, pipelet
from tests.support.waiting import eventually


@pytest.fixture
def server() -> Iterator[Server]:
    with postgres.running() as running:
        yield running


def on(server: Server, folder: Path) -> Service:
    return Service(folder, settings={"database_url": server.new_database(), "lease_seconds": "2"})


def test_a_service_that_starts_before_its_database_waits_for_it(tmp_path: Path, server: Server) -> None:
    """It says why, takes no connections until then, and starts once the database is there."""
    service = on(server, tmp_path)
    server.stop()
    with contextlib.ExitStack() as exits:
        exits.push(service)
        starting = threading.Thread(target=service.start)
        starting.start()
        eventually(lambda: "database.unavailable" in service.log(), why="it says why it waits")
        assert "cannot be reached" in service.log()
        assert starting.is_alive()
        server.start()
        starting.join(60)

        service.wait(service.submit("at last"))


def test_while_the_database_is_away_callers_are_told_and_nothing_is_lost(tmp_path: Path, server: Server) -> None:
    """Submits and polls get a 503 that clients repeat, with the reason in health, for the operator's eyes; what was
    being generated is finished when it is back."""
    with on(server, tmp_path) as service:
        service.wait_for_worker()
        with service.paused():
            generating = service.submit("begun before")
            service.wait(generating, status="IN_PROGRESS")
            waiting = service.submit("waits")
            server.stop()
            path = f"/fal/queue/{APP}"
            refused = [
                service.call("POST", path, {"prompt": "too early", "width": 64, "height": 64}),
                service.call("GET", f"{path}/requests/{generating}/status"),
            ]
            code, health = service.call("GET", "/health/ready")
            stranger = eventually(lambda: _not_ready(service.call("GET", "/health/ready", key="pk_" + "a" * 43)))
            before, began = len(service.lines()), _ticks(service.worker_pids())
            time.sleep(2)  # in which an idle loop without a wait would write thousands of lines
            lines, ticks = service.lines()[before:], _ticks(service.worker_pids()) - began
        server.start()

        for request_id in (generating, waiting):
            assert "error" not in service.wait(request_id)
        assert [503, 503] == [code for code, _ in refused]
        assert 503 == code
        assert "cannot be reached" in health["checks"]["store"]
        assert {"status": "not ready", "checks": {"store": "unavailable", "blobs": "ok"}} == stranger
        assert len(lines) < 20, lines
        assert ticks < 100, "half of a core"
        assert ["postgres@" in str(body) for _, body in refused] == [False, False]


def _not_ready(response: tuple[int, dict[str, Any]]) -> dict[str, Any] | None:
    """What is said; what it was a moment ago may be said again."""
    code, body = response
    return body if code == 503 else None


def _ticks(pids: list[int]) -> int:
    """Hundredths of a second that these processes have computed."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields)


def test_no_key_is_added_by_a_start(tmp_path: Path, server: Server) -> None:
    """On a database that many share, each API that comes and goes would leave one: the operator makes them."""
    database_url = server.new_database()
    for number in range(2):
        with Service(
            tmp_path / str(number), arguments=("--workers", "0"), settings={"database_url": database_url}
        ) as api:
            listed = api.run("keys", "list", "--json")
            assert ("[]", False) == (listed.stdout.strip(), (api.data_dir / "local-key").exists())


def test_a_database_that_refuses_stops_the_start(tmp_path: Path, server: Server) -> None:
    """Waiting would not help: the reason is printed, and no password with it."""
    url = server.url("missing").replace("postgres@", "postgres:secret@")

    done = pipelet("serve", cwd=tmp_path, database_url=url)

    assert 3 == done.returncode
    assert "createdb" in done.stderr
    assert "secret" not in done.stderr


def test_a_full_disk_of_the_database_loses_nothing(tmp_path: Path, server: Server) -> None:
    """Submits are refused with a 503 whose reason is in the log, the status of accepted requests is still served, and
    all of it is generated once there is space."""
    with small_disk(server.folder / "small", "24m") as disk:
        shutil.chown(disk, server.folder.owner())
        server.psql(f"CREATE TABLESPACE small LOCATION '{disk}'")
        server.psql("CREATE DATABASE small TABLESPACE small")
        settings = {"database_url": server.url("small")}
        with Service(tmp_path, arguments=("--workers", "0"), settings=settings) as service:
            first = service.submit("before")
            with filled(disk):
                accepted = [first, *service.submit_until_refused()]
                assert ["IN_QUEUE"] * len(accepted) == [service.status(each)["status"] for each in accepted]
                full = eventually(lambda: health if (health := service.health())["status"] != "ready" else None)
                assert "its disk is full" in full["checks"]["store"]
            assert "its disk is full. Free some space" in service.log()

            accepted.append(service.submit("after"))
            worker = service.start_worker()
            assert not any("error" in service.wait(each) for each in accepted)
            worker.terminate()
            assert 0 == worker.wait(20)
        server.psql("DROP DATABASE small")
        server.psql("DROP TABLESPACE small")
