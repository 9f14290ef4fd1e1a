import json
from pathlib import Path
from typing import Any

from tests.support import databases
from tests.support.jobs import APP
from tests.support.servers.postgres import Server
from tests.support.service import Service, pipelet
from tests.support.waiting import eventually


def seen(service: Service) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The app's line and the workers' lines."""
    found = json.loads(service.run("queue", "--json").stdout)
    return next(app for app in found["apps"] if app["app"] == APP), found["workers"]


def message(service: Service, request_id: str) -> str:
    return str(service.status(request_id)["statusMessages"]["message"])


def test_the_overview_shows_the_queue_and_its_workers(service: Service) -> None:
    """Depth, age, rates, prediction and workers, for people and for programs."""
    service.wait(service.submit("done", batch_size=3))
    with service.paused():
        running = service.submit("runs")
        service.wait(running, status="IN_PROGRESS")
        # A worker generates one, and has begun no other.
        waiting = [service.submit(f"waits {k}") for k in range(3)]
        app, workers = seen(service)
        shown = service.run("queue").stdout
    for request_id in (running, *waiting):
        service.wait(request_id)

    assert (3, 1, None) == (app["queued"], app["running"], app["paused_seconds"])
    assert 0 <= app["oldest_seconds"] < 60
    assert app["waiting_seconds"] > 0
    assert 0 < app["requests_per_minute"] < app["images_per_minute"]
    assert [("ready", [APP], None)] == [(each["state"], each["apps"], each["problem"]) for each in workers]
    assert [APP, "3", "1"] == next(line for line in shown.splitlines() if APP in line).split()[:3]
    assert any(line.split()[:1] == [workers[0]["name"]] and "ready" in line for line in shown.splitlines())


def test_a_pause_holds_through_a_restart(tmp_path: Path) -> None:
    """A paused app takes requests and says why they wait; resumed, it continues at once."""
    with Service(tmp_path) as service:
        done = service.run("queue", "pause", APP)
        service.stop()
        service.start()
        service.wait_for_worker()
        request_id = service.submit("a red apple")
        told, (app, _) = message(service, request_id), seen(service)
        shown = service.run("queue").stdout
        resumed = service.run("queue", "resume", APP)
        ended = service.wait(request_id)

    assert (0, 0) == (done.returncode, resumed.returncode)
    assert "paused" in told
    assert (1, 0, None) == (app["queued"], app["running"], app["waiting_seconds"])
    assert "paused for" in shown
    assert "error" not in ended


def test_only_apps_that_are_there_are_paused_and_resumed(idle: Service) -> None:
    """A misspelt name is refused with the right ones; so is resuming what is not paused."""
    misspelt, not_paused = idle.run("queue", "pause", "z-image"), idle.run("queue", "resume", APP)

    assert (1, 1) == (misspelt.returncode, not_paused.returncode)
    assert APP in misspelt.stderr
    assert "not paused" in not_paused.stderr


def test_a_drained_worker_of_the_service_is_not_started_again(tmp_path: Path) -> None:
    """It finishes what it generates; its place stays empty, requests are taken and wait, and a restart fills it."""
    with Service(tmp_path, settings={"lease_seconds": "1"}) as service:
        service.wait_for_worker()
        running = service.submit("sleep=0.2")
        service.wait(running, status="IN_PROGRESS")
        [worker] = seen(service)[1]

        done = service.run("queue", "drain", worker["name"])

        eventually(lambda: "worker.drained" in service.log(), why="the crew has noticed")
        assert 0 == done.returncode
        assert "error" not in service.wait(running)
        assert [] == service.worker_pids()
        assert "worker.died" not in service.log()
        waiting = service.submit("waits")
        assert "IN_QUEUE" == service.status(waiting)["status"]
        service.stop()
        service.start()
        assert "error" not in service.wait(waiting)


def test_a_drained_worker_of_its_own_exits_with_0(tmp_path: Path) -> None:
    """It is shown as draining while it finishes what it generates, and gone from the overview afterwards."""
    with Service(tmp_path, arguments=["--workers", "0"], settings={"lease_seconds": "1"}) as service:
        worker = service.start_worker("--name", "gpu-7")
        running = service.submit("sleep=0.1")
        service.wait(running, status="IN_PROGRESS")
        with service.paused():
            done = service.run("queue", "drain", "gpu-7")
            states = [each["state"] for each in seen(service)[1]]
        worker.wait(60)

        assert 0 == done.returncode
        assert ["draining"] == states
        assert 0 == worker.returncode
        assert "error" not in service.wait(running)
        assert [] == seen(service)[1]
        assert 1 == service.run("queue", "drain", "gpu-7").returncode


def test_front_makes_a_request_the_next_one(idle: Service) -> None:
    """Whatever its priority and that of the others; what does not wait cannot be moved. Another priority
    moves it back."""
    requests = [idle.submit("x", priority=priority) for priority in (2**31 - 2, 2**31 - 1, -5)]

    done = idle.run("queue", "front", requests[2])
    places = [idle.status(each)["queue_position"] for each in requests]
    changed = idle.run("queue", "priority", requests[2], str(2**31 - 3))
    places_after = [idle.status(each)["queue_position"] for each in requests]
    cancelled = [idle.run("cancel", each) for each in requests]
    refused = [idle.run("queue", "front", each) for each in (requests[2], "0" * 20)]

    assert [0] * 5 == [each.returncode for each in (done, changed, *cancelled)]
    assert [2, 1, 0] == places
    assert [1, 0, 2] == places_after
    assert [1, 1] == [each.returncode for each in refused]
    assert "has ended" in refused[0].stderr
    assert "no request" in refused[1].stderr


def test_retry_generates_the_same_images_under_a_new_id(service: Service) -> None:
    """The old request stays as it ended; the new one is the same user's, and only its id is printed."""
    service.run("queue", "pause", APP)
    cancelled = service.submit("a red apple", seed=77)
    service.run("cancel", cancelled)

    done = service.run("queue", "retry", cancelled)

    service.run("queue", "resume", APP)
    new = done.stdout.strip()
    assert 0 == done.returncode
    assert "error" not in service.wait(new)
    result = service.call("GET", f"/fal/queue/{APP}/requests/{new}")[1]
    assert (77, "a red apple") == (result["seed"], result["prompt"])
    assert "client_cancelled" == service.status(cancelled)["error_type"]
    assert [1, 1] == [service.run("queue", "retry", each).returncode for each in (new, "0" * 20)]


def test_retry_keeps_to_the_limits_of_the_key(idle: Service) -> None:
    """Where they leave no room the message is the one that the user would get."""
    key = json.loads(idle.run("keys", "create", "bob", "--max-queued-images", "1", "--json").stdout)["key"]
    first, second = [_submitted_and_cancelled(idle, key) for _ in range(2)]

    again = [idle.run("queue", "retry", each) for each in (first, second)]

    idle.call("PUT", f"/fal/queue/{APP}/requests/{again[0].stdout.strip()}/cancel", key=key)
    assert [0, 1] == [each.returncode for each in again]
    assert "1 of at most 1" in again[1].stderr


def _submitted_and_cancelled(service: Service, key: str) -> str:
    _, body = service.call("POST", f"/fal/queue/{APP}", {"prompt": "x"}, key=key)
    assert 202 == service.call("PUT", body["cancel_url"], key=key)[0]
    return str(body["request_id"])


def test_it_works_on_a_shared_database_too(tmp_path: Path, postgres_server: Server) -> None:
    """Without a service, on PostgreSQL."""
    url = databases.new_postgres_url(postgres_server)

    paused = pipelet("queue", "pause", APP, cwd=tmp_path, database_url=url)
    shown = pipelet("queue", cwd=tmp_path, database_url=url)

    assert (0, 0) == (paused.returncode, shown.returncode), paused.stderr + shown.stderr
    assert "paused for" in shown.stdout
    assert "No worker is running" in shown.stdout


def test_the_order_belongs_to_the_database(tmp_path: Path) -> None:
    """The setting holds for a new database only; the command shows and changes the order of an existing one."""
    pipelet("migrate", cwd=tmp_path, queue_order="fifo")
    shown = pipelet("queue", "order", cwd=tmp_path, queue_order="fair")
    changed = pipelet("queue", "order", "fair", cwd=tmp_path)
    misspelt = pipelet("queue", "order", "lifo", cwd=tmp_path)

    assert "fifo" == shown.stdout.strip()
    assert "The order is fair" in changed.stdout
    assert 0 != misspelt.returncode
    assert "fair" in misspelt.stderr
