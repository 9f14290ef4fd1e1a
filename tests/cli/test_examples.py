"""The examples do what they show, and so does the demo."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from PIL import Image

from pipelet.cli import build
from tests.clients.behind_tls import behind_tls
from tests.docs.test_docs import blocks
from tests.support.images import encoded, new_image
from tests.support.installed import NODE
from tests.support.service import REPOSITORY, Service, environment

EXAMPLES = REPOSITORY / "examples"
COMMANDS = {"curl": ["bash", str(EXAMPLES / "curl.sh")], "node": [str(NODE), str(EXAMPLES / "javascript.mjs")]}


@pytest.mark.parametrize("tool", [tool for tool, command in COMMANDS.items() if shutil.which(command[0])])
def test_examples_fetch_an_image(service: Service, tmp_path: Path, tool: str) -> None:
    """They show the progress, and print the name of the file that they saved."""
    done = _run(COMMANDS[tool], service, tmp_path)

    assert done.returncode == 0, done.stderr
    assert "COMPLETED: Progress: 12/12 Tasks done" in done.stderr
    with Image.open(tmp_path / done.stdout.strip()) as image:
        assert image.size == (512, 320)


@pytest.mark.parametrize("tool", [tool for tool, command in COMMANDS.items() if shutil.which(command[0])])
def test_examples_fail_where_the_service_refuses(service: Service, tmp_path: Path, tool: str) -> None:
    """The reason reaches the terminal."""
    done = _run([*COMMANDS[tool], " "], service, tmp_path)

    assert done.returncode != 0
    assert "blank" in done.stdout + done.stderr


@pytest.fixture
def checkout(service: Service, tmp_path: Path) -> Path:
    """A folder where the service's data directory has its usual name."""
    (tmp_path / ".pipelet").symlink_to(service.data_dir)
    return tmp_path


def test_the_readmes_shell_lines_run_in_order(service: Service, checkout: Path) -> None:
    """Pasted one after the other: the stream of the status to its end, the result, and the key for JavaScript."""
    lines = _here(service, "\n".join(blocks(REPOSITORY / "README.md", "bash")))

    done = _run(["bash", "-euc", f"unset PIPELET_API_KEY\n{lines}\necho $PIPELET_API_KEY"], service, checkout)

    assert done.returncode == 0, done.stderr
    assert re.search(r'data: {"status":"COMPLETED"', done.stdout)
    assert 2 == len(re.findall(r'"file_name":"[^"]+","content_type"', done.stdout))
    assert done.stdout.endswith(f"{service.key}\n")


def test_the_shell_lines_of_the_page_for_curl_run_in_order(service: Service, checkout: Path) -> None:
    """Pasted one after the other: the reply, the status, its stream to the end, the result, a cancel too late, and an
    upload."""
    (checkout / "photo.jpg").write_bytes(encoded(new_image(), "JPEG"))
    lines = _here(service, "\n".join(blocks(REPOSITORY / "docs" / "use" / "curl.md", "bash")))

    done = _run(["bash", "-euc", lines], service, checkout)

    assert done.returncode == 0, done.stderr
    submitted, *responses = done.stdout.splitlines()
    assert '"request_id"' in submitted
    assert '"queue_position"' in responses[0]
    assert re.search(r'data: {"status":"COMPLETED"', done.stdout)  # curl ends no line for us
    assert 2 == len(re.findall(r'"file_name":"[^"]+","content_type"', done.stdout))
    assert "ALREADY_COMPLETED" in done.stdout
    assert re.search(rf"{service.url}/files/uploads/\w+\.jpg\?expires=\d+&signature=\w+$", done.stdout, re.MULTILINE)


def test_the_documented_client_fetches_an_image(service: Service, checkout: Path) -> None:
    """Without TLS, with the key that is in the data directory."""
    [source] = [block for block in blocks(REPOSITORY / "docs/use/python.md", "python") if "pipelet.client" in block]
    done = subprocess.run(
        [sys.executable, "-c", _here(service, source)],
        cwd=checkout,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    [image] = checkout.glob("*.png")
    assert image.name in done.stdout


def test_a_proxy_on_this_machine_says_how_clients_came(service: Service) -> None:
    """Its word for TLS counts, and the host that it passes on, as the README says."""
    body = {"prompt": "x", "width": 64, "height": 64}
    headers = {"Authorization": f"Bearer {service.key}", "Host": "pipelet.example.com", "X-Forwarded-Proto": "https"}
    url = f"{service.url}/fal/queue/z-image-text-to-image"
    with urlopen(Request(url, json.dumps(body).encode(), headers)) as response:
        submitted = json.load(response)

    assert submitted["status_url"].startswith("https://pipelet.example.com/fal/queue/")
    service.wait(submitted["request_id"])


def _here(service: Service, text: str) -> str:
    return text.replace("http://127.0.0.1:8000", service.url)


def test_the_example_for_fals_client_prints_urls(tmp_path: Path) -> None:
    """Unmodified, behind TLS."""
    with behind_tls(tmp_path) as running:
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "fal_client_example.py"), "a red apple"],
            env=os.environ | running.variables() | {"PIPELET_HOST": running.host},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"https://{running.host}/files/")


def test_the_demo_generates_its_images_and_keeps_its_page_until_ctrl_c(tmp_path: Path) -> None:
    """It sends a batch, more requests and an edit of what it got, shows the API's progress, names the files, which are
    eight images and the sheet with all of them, and ends with a command that the command line takes, and with one that
    leaves the service running: that one prints a link to the page, and stops at Ctrl-C with nothing left."""
    demo = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "demo.py"), "--size", "96x64", "--keep"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with demo, demo.stdout as stdout:  # type: ignore[union-attr]
        shown = "".join(
            iter(stdout.readline, "The link signs in once, within five minutes. Ctrl-C stops the service.\n")
        )
        link = re.findall(r"http://\S+/ui/#code=\S+", shown)[-1]
        with urlopen(link) as response:
            page = response.read()
        demo.send_signal(signal.SIGINT)
        output = shown + stdout.read()

    assert demo.returncode == 0, output
    assert b"<title>Pipelet</title>" in page
    assert "COMPLETED    Progress: 12/12 Tasks done" in output
    images = list((tmp_path / "demo-output").iterdir())
    assert len(images) == 8 + 1
    assert 1 == sum("image_edit" in image.name for image in images)
    assert all(image.name in output for image in images)
    with Image.open(tmp_path / "demo-output" / "contact-sheet.png") as sheet:
        assert sheet.size == (4 * 264 + 8, 2 * 264 + 8)
    following, last = output.splitlines()[-2:]
    assert last.startswith("make demo KEEP=1 ")
    command = shlex.split(following.partition(".venv/bin/pipelet ")[2])
    build(command).parse_args(command, exit_on_error=False, print_error=False)
    folder = Path(output.split()[6]).parent
    assert folder.name.startswith("pipelet-demo-")
    assert not folder.exists()
    assert _processes_that_name(folder) == []


def test_a_demo_that_fails_says_why(tmp_path: Path) -> None:
    """A model that cannot be loaded ends it, with the reason and the exit code of a failure."""
    catalog = tmp_path / "catalog.toml"
    backend = "tests.support.backends.while_loading.raises:Backend"
    catalog.write_text(f'[models.broken]\nsource = "none"\nbackend = "{backend}"\n')
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")],
        cwd=tmp_path,
        env=environment(catalog=str(catalog), model="broken"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 1
    assert "The model none cannot be loaded: KeyError" in done.stdout
    assert not (tmp_path / "demo-output").exists()


def _run(command: list[str], service: Service, folder: Path) -> "subprocess.CompletedProcess[str]":
    known = {"PIPELET_API_URL": service.url, "PIPELET_API_KEY": service.key}
    return subprocess.run(
        command, cwd=folder, env=os.environ | known, capture_output=True, text=True, timeout=60, check=False
    )


def _processes_that_name(folder: Path) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = file.read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has just ended
            continue
        if str(folder) in arguments:
            found.append(arguments)
    return found
