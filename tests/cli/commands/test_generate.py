import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.support.images import png
from tests.support.service import Service, environment, pipelet
from tests.support.waiting import eventually

SMALL = ("--width", "96", "--height", "64")


def test_prints_the_paths_of_the_files_and_nothing_else(service: Service, tmp_path: Path) -> None:
    """Standard output is one path a line, and each is an image of the wanted size."""
    done = service.run("generate", "a red apple", *SMALL, "--batch-size", "3", "--out", str(tmp_path))

    assert done.returncode == 0, done.stderr
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert len(paths) == 3
    assert sorted(paths) == sorted(tmp_path.iterdir())
    assert {_size(path) for path in paths} == {(96, 64)}


def test_tells_on_standard_error_what_the_service_reports(service: Service, tmp_path: Path) -> None:
    """The last progress line says that all tasks are done."""
    done = service.run("generate", "a pear sleep=0.05", *SMALL, "--out", str(tmp_path))

    assert "Progress: 12/12 Tasks done" in done.stderr


def test_every_flag_reaches_the_service(service: Service, tmp_path: Path) -> None:
    """Seed, steps, guidance, negative prompt, format and priority arrive as given."""
    flags = ["--seed", "7", "--steps", "3", "--guidance", "2.5", "--negative-prompt", "fog", "--format", "webp"]
    done = service.run("generate", "a tree", *SMALL, *flags, "--priority", "-2", "--json", "--out", str(tmp_path))

    response = json.loads(done.stdout)
    assert response["result"]["seed"] == 7
    assert response["result"]["images"][0]["content_type"] == "image/webp"
    assert Path(response["files"][0]).read_bytes()[8:12] == b"WEBP"
    assert service.status(response["request_id"])["statusMessages"]["message"] == "Progress: 7/7 Tasks done"


def test_json_is_one_object_on_standard_output(service: Service, tmp_path: Path) -> None:
    """--json prints the request's id, the files and the service's own response."""
    done = service.run("generate", "a red apple", *SMALL, "--json", "--out", str(tmp_path))

    response = json.loads(done.stdout)
    assert set(response) == {"request_id", "files", "result"}
    assert Path(response["files"][0]).is_file()
    assert response["result"]["prompt"] == "a red apple"


def test_no_wait_prints_the_id(service: Service) -> None:
    """--no-wait prints the id of a request that exists."""
    done = service.run("generate", "a red apple", *SMALL, "--no-wait")

    assert done.stdout.count("\n") == 1
    assert service.wait(done.stdout.strip())["status"] == "COMPLETED"


def test_a_refused_request_exits_with_1_and_every_reason(service: Service) -> None:
    """Input that the service refuses is not generated, and each field's fault is named."""
    done = service.run("generate", "x", "--width", "9", "--batch-size", "99")

    assert done.returncode == 1
    assert "width: " in done.stderr
    assert "batch_size: " in done.stderr
    assert done.stdout == ""


def test_a_failed_request_exits_with_1_and_its_reason(tmp_path: Path) -> None:
    """A request that ends without images says why."""
    with Service(tmp_path, backend="tests.support.backends.while_generating.raises:Backend") as failing:
        done = failing.run("generate", "please", *SMALL)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("pipelet: ")
    assert done.stdout == ""


def test_an_unknown_app_exits_with_1(service: Service) -> None:
    """The message names the apps there are."""
    done = service.run("generate", "x", "--app", "no-such-app")

    assert done.returncode == 1
    assert "z-image-text-to-image" in done.stderr


def test_wrong_flags_exit_with_2(tmp_path: Path) -> None:
    """A command line that cannot be read is told from everything else."""
    for arguments in (
        ["generate"],
        ["generate", "x", "--width", "wide"],
        ["generate", "x", "--nonsense"],
        ["nonsense"],
    ):
        done = pipelet(*arguments, cwd=tmp_path)

        assert done.returncode == 2, arguments
        assert done.stdout == ""


def test_an_image_that_cannot_be_read_costs_no_generation(service: Service, tmp_path: Path) -> None:
    """It is named, and so is what is missing in a service that edits none: nothing is submitted or uploaded."""
    (tmp_path / "a.png").write_bytes(png())
    missing = service.run("generate", "x", "--image", str(tmp_path / "a.png"), "--image", str(tmp_path / "b.png"))
    no_app = service.run("generate", "x", "--image", str(tmp_path / "a.png"))

    assert (1, 1) == (missing.returncode, no_app.returncode)
    assert "b.png failed: No such file" in missing.stderr
    assert "no app that edits images" in no_app.stderr


def test_without_a_service_it_exits_with_4_and_says_how_to_start_one(tmp_path: Path) -> None:
    """Nothing listening is told at once, not after the patience for restarts."""
    done = pipelet("generate", "x", cwd=tmp_path, timeout=10, api_url="http://127.0.0.1:1", api_key="pk_" + "a" * 43)

    assert done.returncode == 4
    assert "pipelet serve" in done.stderr
    assert "PIPELET_API_URL" in done.stderr


def test_a_wrong_key_exits_with_4(service: Service) -> None:
    """A key that the service does not know is told from a request that failed."""
    done = service.run("generate", "x", "--key", "pk_" + "a" * 43)

    assert done.returncode == 4
    assert "not known" in done.stderr


def test_without_a_key_it_exits_with_3_and_says_where_to_get_one(tmp_path: Path) -> None:
    """A missing key file is named, with what to do."""
    done = pipelet("generate", "x", cwd=tmp_path)

    assert done.returncode == 3
    assert ".pipelet/local-key" in done.stderr
    assert "--key" in done.stderr


def test_the_first_key_is_not_sent_to_other_machines(service: Service) -> None:
    """Another machine's URL needs a key given for it."""
    done = service.run("generate", "x", "--url", "http://192.0.2.1:8000")

    assert done.returncode == 3
    assert "--key" in done.stderr


def test_a_folder_that_cannot_be_made_costs_no_generation(service: Service, tmp_path: Path) -> None:
    """--out is tried before the request is made."""
    (tmp_path / "file").touch()
    done = service.run("generate", "x", "--out", str(tmp_path / "file" / "below"))

    assert done.returncode == 3
    assert "--out" in done.stderr


def test_ctrl_c_cancels_a_request_that_waits(idle: Service, tmp_path: Path) -> None:
    """It is out of the queue afterwards, and the exit code is that of an interruption."""
    generating, first = _start(idle, tmp_path, "waits its turn")
    assert first.startswith("Queued: 0 requests ahead")

    generating.send_signal(signal.SIGINT)
    _, said = generating.communicate(timeout=20)

    assert generating.returncode == 130
    assert "Cancelled" in said
    request_id = said.split("request ")[1].split()[0]
    assert idle.status(request_id)["error_type"] == "client_cancelled"


def test_ctrl_c_leaves_a_request_that_has_begun(service: Service, tmp_path: Path) -> None:
    """It continues; the command that stops it is named, and the one that fetches it later works."""
    with service.paused():
        generating, first = _start(service, tmp_path, "is running")
        assert generating.stderr is not None
        eventually(lambda: "Progress" in first or "Progress" in generating.stderr.readline())  # type: ignore[union-attr]

        generating.send_signal(signal.SIGINT)
        _, said = generating.communicate(timeout=20)

    assert generating.returncode == 130
    arguments = said.partition("pipelet status ")[2].split()
    assert f"pipelet cancel {arguments[0]} --running" in said
    assert arguments[1:] == ["--out", "."]
    fetched = service.run("status", arguments[0], "--watch", "--out", str(tmp_path))
    assert Path(fetched.stdout.strip()).is_file()


def test_a_request_without_a_worker_says_why(idle: Service, tmp_path: Path) -> None:
    """Where no worker is there, waiting silently would be waiting forever."""
    generating, _ = _start(idle, tmp_path, "waits its turn")
    assert generating.stderr is not None

    line = generating.stderr.readline()

    assert "No worker is running" in line
    assert "pipelet worker" in line
    generating.send_signal(signal.SIGINT)
    generating.communicate(timeout=20)


def _start(service: Service, out: Path, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """A running `pipelet generate`, and the first line it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelet", "generate", *arguments, *SMALL, "--out", str(out)],
        env=environment(None, **service.settings, api_url=service.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    return process, process.stderr.readline()


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_what_a_service_stores_is_private_and_what_a_user_saves_is_not(service: Service, tmp_path: Path) -> None:
    """Whatever the umask, and also where a database was there before; images that are saved go by the umask."""
    done = service.run("generate", "a red apple", "--width", "64", "--height", "64", "--out", str(tmp_path))
    assert 0 == done.returncode, done.stderr
    stored = [service.data_dir, *service.data_dir.rglob("*")]

    assert [] == [str(path) for path in stored if path.lstat().st_mode & 0o077]
    assert {"files", "local-key", "signing-key", "pipelet.sqlite-wal"} <= {path.name for path in stored}
    assert [str(service.data_dir / "pipelet.sqlite")] == service.lines("data_dir.permissions_changed")[0]["paths"]
    assert {0o644} == {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}


def test_workers_run_no_file_of_the_folder_and_engines_get_no_secret(service: Service) -> None:
    """Neither finds modules in the directory that the service was started in; only the worker needs the secrets."""
    (engine,), (worker,) = service.engine_pids(), service.worker_pids()

    assert [] == list(service.folder.glob("run-*"))
    assert b"-P" in Path(f"/proc/{worker}/cmdline").read_bytes().split(b"\0")
    assert b"hush" in Path(f"/proc/{worker}/environ").read_bytes()
    assert b"hush" not in Path(f"/proc/{engine}/environ").read_bytes()
    assert b"PIPELET_" not in Path(f"/proc/{engine}/environ").read_bytes()


def test_a_key_can_come_from_a_file(service: Service, tmp_path: Path) -> None:
    """Then no other user sees it in the list of processes. One source is enough."""
    file = tmp_path / "key"
    file.write_text(f"{service.key}\n")
    flags = [*SMALL, "--no-wait", "--key-file", str(file), "--data-dir", str(tmp_path / "none")]
    done, both = service.run("generate", "x", *flags), service.run("generate", "x", *flags, "--key", service.key)

    assert 0 == done.returncode, done.stderr
    assert (3, True) == (both.returncode, "--key-file" in both.stderr)
