"""What the Python client promises beyond what the commands show."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelet.client import ANY_APP, Client
from pipelet.client_types import (
    AuthenticationError,
    NotCancellable,
    NotReady,
    RequestFailed,
    RequestNotFound,
    Result,
    ResultFile,
    ServiceUnavailable,
    Status,
    Unreachable,
    ValidationError,
)
from tests.support.servers.tcp import in_background
from tests.support.servers.web import WebServer, saying, whole
from tests.support.service import Service


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url, service.key) as opened:
        yield opened


def test_a_request_from_submit_to_files(client: Client, tmp_path: Path) -> None:
    """Progress never falls, ends complete, and the files are there under their own names."""
    seen: list[Status] = []
    submitted = client.submit(ANY_APP, prompt="a red apple sleep=0.05", width="64", height=64, batch_size=2)

    client.wait(submitted.request_id, on_status=seen.append, poll=0.05)
    result = client.result(submitted.request_id)
    paths = client.download(result, tmp_path / "new" / "folder")

    done = [status.progress.done for status in seen if status.progress]
    assert done == sorted(done)
    assert seen[-1].progress is not None
    assert seen[-1].progress.done == seen[-1].progress.total == 12
    assert [path.name for path in paths] == [file.file_name for file in result.files]


def test_a_request_without_a_preview_has_none(client: Client) -> None:
    """None while there is no preview, as after the end; an unknown request raises."""
    request_id = client.submit(ANY_APP, prompt="a red apple sleep=0.05", width=64, height=64).request_id

    client.wait(request_id, on_status=lambda _: assert_none(client.preview(request_id)), poll=0.05)

    with pytest.raises(RequestNotFound):
        client.preview("0" * 20)


def assert_none(preview: bytes | None) -> None:
    assert preview is None


def test_waiting_outlasts_a_service_that_is_killed_and_started_again(tmp_path: Path) -> None:
    """A caller that waits gets the images in one call."""
    with Service(tmp_path, settings={"lease_seconds": "2"}) as service, Client(service.url, service.key) as client:
        service.wait_for_worker()
        request_id = client.submit(ANY_APP, prompt="sleep=0.1", width=64, height=64).request_id

        def restart() -> None:
            service.kill()
            service.start()

        killer = threading.Thread(target=restart)
        killer.start()

        status = client.wait(request_id, poll=0.05)

        killer.join()
        assert status.error is None
        assert len(client.download(client.result(request_id), tmp_path / "out")) == 1


def test_a_service_that_never_responded_is_not_waited_for() -> None:
    """A wrong address is told at once, for reads as for submits."""
    with Client("http://127.0.0.1:1", "pk_x", retry_timeout=60) as client:
        for call in (lambda: client.status("0" * 20), lambda: client.submit(ANY_APP, prompt="x")):
            with pytest.raises(Unreachable, match="does not respond"):
                call()


def test_a_submit_whose_response_is_lost_is_not_sent_again() -> None:
    """The request may exist already: making another is for the caller to decide."""
    healthy = whole(b'{"status": "ready", "version": "1", "checks": {}, "workers": [], "notes": []}')
    hangs_up = WebServer(lambda request: healthy if request.method == "GET" else saying())
    with in_background(hangs_up) as server, Client(server.url, "pk_x") as client:
        client.health()
        with pytest.raises(ServiceUnavailable):
            client.submit(ANY_APP, prompt="x")

    assert 1 == sum(request.method == "POST" for request in server.requests)


def test_what_is_no_pipelet_is_told_as_that(tmp_path: Path) -> None:
    """A web server that returns something else does not make the client fail in odd ways."""
    pages = {"GET": whole(b"<h1>Not here</h1>", "404 Not Found"), "POST": whole(b"<h1>No</h1>", "501 Not Implemented")}
    with (
        in_background(WebServer(lambda request: pages[request.method])) as server,
        Client(server.url, "pk_x") as client,
    ):
        for call in (client.health, lambda: client.status("x"), lambda: client.submit(ANY_APP, prompt="x")):
            with pytest.raises(ServiceUnavailable, match="not a Pipelet"):
                call()


def test_each_refusal_has_its_own_exception(client: Client, service: Service) -> None:
    """With the service's message."""
    with pytest.raises(ValidationError, match="prompt"):
        client.submit(ANY_APP)
    with pytest.raises(AuthenticationError, match="printable"):
        Client(service.url, "pk_ü")
    with service.paused():
        request_id = client.submit(ANY_APP, prompt="runs", width=64, height=64).request_id
        service.wait(request_id, status="IN_PROGRESS")
        with pytest.raises(NotReady, match="in progress"):
            client.result(request_id)
        with pytest.raises(NotCancellable, match=r"begun|started") as too_late:
            client.cancel(request_id)
        assert too_late.value.is_running
        waiting = client.submit(ANY_APP, prompt="waits", width=64, height=64).request_id
        client.cancel(waiting)
    with pytest.raises(RequestFailed) as cancelled:
        client.result(waiting)
    with pytest.raises(RequestNotFound):
        client.status("0" * 20)

    assert cancelled.value.error_type == "client_cancelled"


def test_file_names_of_the_service_cannot_leave_the_folder(client: Client, service: Service, tmp_path: Path) -> None:
    """Only the last part of a name is used, and a broken name is replaced."""
    request_id = service.submit("a red apple")
    service.wait(request_id)
    url = client.result(request_id).files[0].url
    names = ["../../evil.png", "/etc/evil.png", ".."]
    result = Result(files=tuple(ResultFile(url=url, file_name=name) for name in names), seed=0, body={})

    paths = client.download(result, tmp_path)

    assert [path.relative_to(tmp_path).name for path in paths] == ["evil.png", "evil-2.png", "image"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_download_that_fails_leaves_nothing(client: Client, service: Service, tmp_path: Path) -> None:
    """No empty file, and no half one."""
    result = Result(files=(ResultFile(url=f"{service.url}/files/none.png", file_name="none.png"),), seed=0, body={})

    with pytest.raises(Exception, match=r"Fetching none\.png failed"):
        client.download(result, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_usage_counts_what_was_delivered(client: Client) -> None:
    """Figures of a user, grouped or added up, as soon as a request has ended."""
    before = client.usage(by=(), user="local")["total"]
    client.wait(client.submit(ANY_APP, prompt="a red apple", width=64, height=64, batch_size=2).request_id)
    after = client.usage(by=("day", "user"), user="local")

    assert 2 == after["total"]["images"] - before["images"]
    assert 1 == after["total"]["requests"] - before["requests"]
    assert {"local"} == {each["user"] for each in after["items"]}
