import json
from pathlib import Path

from tests.support.service import Service


def test_status_of_a_finished_request_names_its_files(service: Service) -> None:
    """The state is on the first line, a URL on each other one."""
    request_id = service.submit("a red apple", batch_size=2)
    service.wait(request_id)

    done = service.run("status", request_id)

    first, *urls = done.stdout.splitlines()
    assert done.returncode == 0
    assert first.startswith("COMPLETED: ")
    assert len(urls) == 2
    assert all(url.startswith(f"{service.url}/files/") for url in urls)


def test_status_saves_the_files(service: Service, tmp_path: Path) -> None:
    """--out fetches them, and prints their paths."""
    request_id = service.submit("a red apple", batch_size=2)

    done = service.run("status", request_id, "--watch", "--out", str(tmp_path))

    assert sorted(done.stdout.split()) == sorted(map(str, tmp_path.iterdir()))
    assert len(done.stdout.split()) == 2


def test_status_never_overwrites(service: Service, tmp_path: Path) -> None:
    """Fetching twice gives the second copy a number."""
    request_id = service.submit("a red apple")
    first = service.run("status", request_id, "--watch", "--out", str(tmp_path)).stdout.strip()

    second = service.run("status", request_id, "--out", str(tmp_path)).stdout.strip()

    assert second == first.replace(".png", "-2.png")
    assert Path(second).read_bytes() == Path(first).read_bytes()


def test_status_as_json_is_what_the_service_returns(service: Service) -> None:
    """--json adds the result to the status, where there is one."""
    request_id = service.submit("a red apple")
    service.wait(request_id)

    response = json.loads(service.run("status", request_id, "--json").stdout)

    assert response["status"] == "COMPLETED"
    assert response["result"]["prompt"] == "a red apple"


def test_an_unknown_request_exits_with_1(service: Service) -> None:
    """Ids of any shape that name nothing are told as unknown."""
    for request_id in ("0" * 20, "nonsense", "../../health/ready"):
        done = service.run("status", request_id)

        assert done.returncode == 1, request_id
        assert done.stderr.startswith("pipelet: ")


def test_cancel_takes_a_waiting_request_out_of_the_queue(idle: Service) -> None:
    """Afterwards its status says so and counts as a failure; cancelling again gets the same response."""
    waiting = idle.submit("waits")

    done = idle.run("cancel", waiting)
    again = idle.run("cancel", waiting)

    assert (done.returncode, again.returncode) == (0, 0)
    status = idle.run("status", waiting)
    assert status.returncode == 1
    assert "cancelled" in status.stdout


def test_cancel_of_a_running_request_exits_with_1(service: Service) -> None:
    """What has begun continues, and the command that stops it is named."""
    with service.paused():
        running = service.submit("a red apple")
        service.wait(running, status="IN_PROGRESS")

        done = service.run("cancel", running)

    assert done.returncode == 1
    assert f"is running. Stop it with: pipelet cancel {running} --running" in done.stderr
    assert "error" not in service.wait(running)


def test_cancel_running_stops_what_has_begun(service: Service) -> None:
    """With --running it ends, long before it would be done."""
    running = service.submit("slow sleep=0.5", num_inference_steps=100)
    service.wait(running, status="IN_PROGRESS")

    done = service.run("cancel", running, "--running")

    assert done.returncode == 0, done.stderr
    assert "client_cancelled" == service.wait(running, within=10)["error_type"]
