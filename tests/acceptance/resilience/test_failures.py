"""Days on which something around the service is broken."""

import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelet.engine.sources import resolve
from tests.support.disks import filled, small_disk
from tests.support.jobs import APP
from tests.support.service import Service
from tests.support.waiting import eventually


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """With the disk full, submits are refused with 503 and what runs is kept; with space again everything continues."""
    with (
        small_disk(tmp_path / "disk", "8m") as disk,
        Service(tmp_path, settings={"data_dir": str(disk / "data")}) as service,
    ):
        service.data_dir = disk / "data"
        service.wait_for_worker()
        before = service.submit("before")
        service.wait(before)
        running = service.submit("running sleep=0.1")
        service.wait(running, status="IN_PROGRESS")
        with filled(disk):
            accepted = service.submit_until_refused()
            for part in ("blobs", "store"):
                eventually(lambda: "is full" in service.health()["checks"][part], why="readiness tells")  # noqa: B023
            before_wait = len(service.lines())
            eventually(lambda: "storage.retrying" in service.log(), why="the finished image waits for space")
            assert len(service.lines()) - before_wait < 40, "no loop fills a disk that is full"

        ended = [service.wait(request_id) for request_id in (running, *accepted, service.submit("after"))]
        assert not any("error" in status for status in ended)


def test_a_model_that_is_missing_or_broken_is_named_and_can_be_put_there(tmp_path: Path) -> None:
    """Requests wait while the model's folder is missing, or a weights file in it was cut short: readiness says which,
    the service stays up, and they are generated once the model is there."""
    folder, broken, good = (tmp_path / name for name in ("model", "broken", "good"))
    for copy in (broken, good):
        shutil.copytree(resolve("package:demo"), copy)
    weights = next((broken / "transformer").glob("*.safetensors"))
    os.truncate(weights, weights.stat().st_size // 2)
    with Service(tmp_path / "service", settings={"model": str(folder)}) as service:
        request_id = service.submit("a fox", num_inference_steps=2)
        eventually(lambda: str(folder) in problems(service), within=60)
        broken.rename(folder)
        eventually(lambda: "transformer" in problems(service), within=60)
        folder.rename(broken)
        good.rename(folder)

        assert "error" not in service.wait(request_id, within=120)


def problems(service: Service) -> str:
    return " ".join(worker["problem"] or "" for worker in service.health()["workers"])


def test_what_waited_is_generated_after_a_restart_in_order(tmp_path: Path) -> None:
    """Requests that were accepted before everything was killed begin afterwards, by priority and arrival."""
    with Service(tmp_path, settings={"lease_seconds": "2"}) as service:
        service.wait_for_worker()
        with service.paused():
            running = service.submit("running")
            service.wait(running, status="IN_PROGRESS")
            low, high, last = (service.submit(f"sleep=0.01 {p}", priority=p) for p in (0, 5, 0))
            service.kill()
        service.start()

        ended = [service.wait(request_id) for request_id in (running, high, low, last)]

    assert not any("error" in status for status in ended)
    begun = [line["request_id"] for line in service.lines("attempt.started")]
    assert [high, low, last] == [request_id for request_id in begun if request_id != running]


def test_workers_do_not_outlive_the_service(tmp_path: Path) -> None:
    """When the API's process is killed alone, its worker finishes what it generates and ends with its engine."""
    with Service(tmp_path) as service:
        service.wait_for_worker()
        request_id = service.submit("sleep=0.1")
        service.wait(request_id, status="IN_PROGRESS")
        service.kill_main()

        eventually(lambda: not service.pids(), within=40, why="worker and engine have ended")
        service.start()
        assert "COMPLETED" == service.status(request_id)["status"]


def test_a_polite_stop_finishes_what_runs(tmp_path: Path) -> None:
    """SIGTERM and Ctrl-C let the running request end, keep what waits, and leave no process behind."""
    with Service(tmp_path) as service:
        for number in (signal.SIGTERM, signal.SIGINT):
            service.wait_for_worker()
            running = service.submit("sleep=0.1")
            waiting = service.submit("waits")
            service.wait(running, status="IN_PROGRESS")
            os.kill(service.pid, number)
            assert service.process is not None
            assert 0 == service.process.wait(40)
            assert [] == service.pids()
            service.stop()

            service.start()
            assert "COMPLETED" == service.status(running)["status"]
            assert "error" not in service.wait(waiting)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that has served three requests on a good day."""
    with Service(tmp_path_factory.mktemp("quiet"), settings={"metrics_address": "127.0.0.1:0"}) as service:
        service.wait_for_worker()
        for _ in range(3):
            service.wait(service.submit("a fox"))
        yield service


def test_metrics_tell_of_what_happened(quiet: Service) -> None:
    """After some requests the metrics count them, with their times and the error of their estimates: for callers with a
    key, and at an address of their own for those without. Probes come by IP address, and have none either."""
    with urllib.request.urlopen(quiet.lines("metrics.ready")[0]["url"]) as response:
        text = response.read().decode()
    with urllib.request.urlopen(_with_key(quiet, "/metrics")) as response:
        assert "pipelet_requests_submitted_total" in response.read().decode()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{quiet.url}/metrics")
    for path in ("/health/live", "/health/ready"):
        with urllib.request.urlopen(f"http://127.0.0.1:{quiet.port}{path}") as response:
            assert 200 == response.status

    assert f'pipelet_requests_submitted_total{{app="{APP}"}} 3.0' in text
    assert f'pipelet_requests_finished_total{{app="{APP}",state="succeeded"}} 3.0' in text
    for histogram in ("queue_wait_seconds", "generation_seconds", "request_duration_seconds", "estimate_error_ratio"):
        assert f'pipelet_{histogram}_count{{app="{APP}"}} 3.0' in text


def _with_key(service: Service, path: str) -> urllib.request.Request:
    return urllib.request.Request(service.url + path, headers={"Authorization": f"Bearer {service.key}"})


def test_every_line_about_a_request_carries_its_id(quiet: Service) -> None:
    """Logs are JSON, one object a line, and a request's life can be read from them by its id."""
    request_id = quiet.lines("request.submitted")[0]["request_id"]

    events = [line["event"] for line in quiet.lines(request_id=request_id) if line["event"] != "http.request"]
    # Two processes write, and a quick worker has begun before the API has said that it accepted.
    events.remove("request.submitted")
    assert ["attempt.started", "attempt.succeeded"] == events
