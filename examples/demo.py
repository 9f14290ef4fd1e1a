"""A complete example: start a service, send requests as the API document shows, fetch the images, edit one, stop.

It builds its HTTP requests with the standard library only, so that every byte is visible here. `make demo` runs it.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

OUTPUT = Path("demo-output")
PROMPT = "an owl on a teal background"
BODY = """{
    "width": "%s",
    "height": "%s",
    "batch_size": 2,
    "prompt": "%s"
}"""
MORE_PROMPTS = (
    "a red apple on a light blue background",
    "a penguin on an orange background",
    "a rocket on a black background",
    "a lemon and a tomato on a blue background",
    "a ghost in the bottom left corner",
)
"""Prompts that the demo model generates well, like the first one."""
KEEP = "make demo KEEP=1 leaves it running, and prints a link to its page with these images."
NEXT = 'make serve; then, in another terminal, .venv/bin/pipelet generate "a cat above a dog" --width 256 --height 256'
EDIT = (
    "The girl from first image is playing chess with the girl from second image, on the ancient table from third image."
)
"""The sentence of the API document, with the first three of these images."""
EDIT_BODY = '{"prompt": "%s", "width": 256, "height": 256, "image_urls": %s}'
MORE_BODY = '{"width": 256, "height": 256, "prompt": "%s"}'
CURLS_LABEL = "application/x-www-form-urlencoded"
OUR_SETTINGS = {
    "PIPELET_DATABASE_URL": "",
    "PIPELET_BLOBS_URL": "",
    "PIPELET_PUBLIC_URL": "",
    "PIPELET_LOG_FORMAT": "json",
}

# All requests stay on this machine, so they use no proxy.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="320x200", help="width x height of the first images, such as 3200x2000")
    parser.add_argument("--keep", action="store_true", help="leave the service running until Ctrl-C")
    chosen = parser.parse_args()
    width, _, height = chosen.size.partition("x")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="pipelet-demo-") as folder:
        log = Path(folder) / "service.log"
        try:
            with running_service(Path(folder), log) as (url, key, service):
                bodies = [BODY % (width, height, PROMPT), *(MORE_BODY % prompt for prompt in MORE_PROMPTS)]
                images = [image for body in bodies for image in generate(url, key, "z-image-text-to-image", body)]
                three = [image.url for image in images[-len(MORE_PROMPTS) :][:3]]
                images += generate(url, key, "z-image-image-edit", EDIT_BODY % (EDIT, json.dumps(three)))
                for command in (("requests", "list", "--url", url), ("usage",)):
                    show_command(Path(folder) / "data", *command)
                say(f"All images on one sheet: {contact_sheet([image.path for image in images])}")
                if chosen.keep:
                    keep_running(Path(folder) / "data", url, service)
        except (Failed, OSError) as error:
            say(f"\nThe demo failed: {error}\nThe end of the service's log:\n{tail(log)}")
            return 1
    say("The service has stopped, and its data is deleted.")
    say(f"Next: {NEXT}")
    say(KEEP)
    return 0


@contextlib.contextmanager
def running_service(folder: Path, log: Path) -> Iterator[tuple[str, str, "subprocess.Popen[str]"]]:
    """Run a service on a free port; yield its URL, its key and its process, and stop it when the block ends."""
    command = [sys.executable, "-m", "pipelet", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    say(f"$ {' '.join(['pipelet', *command[3:]])}")
    with log.open("w") as stderr:
        service = subprocess.Popen(  # noqa: S603 - our own command
            command,
            cwd=folder,
            env=os.environ | OUR_SETTINGS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,  # Ctrl-C reaches us only; we stop the service in order
        )
    assert service.stdout is not None  # noqa: S101 - it is a pipe
    try:
        greeting = service.stdout.readline()
        if not greeting:
            raise Failed(f"the service ended with exit code {service.wait()}.")
        threading.Thread(target=service.stdout.read, daemon=True).start()
        say(greeting.strip())
        url = greeting.split()[3]
        key = (folder / "data" / "local-key").read_text().strip()
        wait_for_worker(url, key, service, log)
        yield url, key, service
    finally:
        stop(service)


def wait_for_worker(url: str, key: str, service: "subprocess.Popen[str]", log: Path) -> None:
    began = time.monotonic()
    say("Waiting for the workers to load their models", end="")
    while True:
        health = call("GET", f"{url}/health/ready", key)[1]
        if not health["notes"] and all(worker["ready"] for worker in health["workers"]):
            kinds = ", ".join(sorted(worker["kind"] for worker in health["workers"]))
            say(f" ready after {time.monotonic() - began:.0f} s: {kinds}.\n")
            return
        if service.poll() is not None or (found := problem(log)):
            raise Failed(found if service.poll() is None else "the service ended while the model was loading.")
        say(".", end="")
        time.sleep(0.25)


def problem(log: Path) -> str:
    """Return why a worker failed, according to the log of the service; empty if none did."""
    for line in log.read_text().splitlines():
        event = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
        if event.get("event") in ("engine.start_failed", "worker.died"):
            return str(event.get("reason", "the worker died."))
    return ""


def stop(service: "subprocess.Popen[str]") -> None:
    service.terminate()
    try:
        service.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(service.pid, signal.SIGKILL)
        service.wait()


class SavedImage(NamedTuple):
    path: Path
    url: str
    """Signed URL; the service accepts it as an input image."""


def generate(url: str, key: str, app: str, body: str) -> list[SavedImage]:
    say(f"$ curl -XPOST {url}/fal/queue/{app} -H 'Authorization: Bearer …' -d '{body}'")
    code, submitted = call("POST", f"{url}/fal/queue/{app}", key, body.encode(), CURLS_LABEL)
    if code != 200:
        raise Failed(submitted["message"])
    say(json.dumps({name: value for name, value in submitted.items() if name.endswith(("_id", "_url"))}, indent=2))
    watch(submitted["status_url"], key)
    code, result = call("GET", submitted["response_url"], key)
    if code != 200:
        raise Failed(result["message"])
    say("")
    saved = []
    for image in result["images"]:
        path = fetch(image["url"], image["file_name"])
        say(f"{path}  ({image['width']}×{image['height']}, {path.stat().st_size / 1e6:.1f} MB)")
        saved.append(SavedImage(path, image["url"]))
    say("")
    return saved


def watch(status_url: str, key: str) -> None:
    """Print the status each time it changes."""
    shown = ""
    while True:
        _, status = call("GET", status_url, key)
        about = status["statusMessages"]
        line, seconds = f"{status['status']:<11}  {about['message']}", about["estimatedTotalTimeSeconds"]
        if line != shown:
            say(line if seconds is None else f"{line}  (about {seconds} s in total)")
            shown = line
        if status["status"] == "COMPLETED":
            return
        time.sleep(0.1)


def fetch(url: str, name: str) -> Path:
    """Save a file. Its URL is signed, so it needs no key."""
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / Path(name).name
    with opener.open(url, timeout=60) as response, path.open("xb") as file:
        shutil.copyfileobj(response, file)
    return path


def show_command(data: Path, *arguments: str) -> None:
    """Show what the command line says about the requests."""
    say(f"$ pipelet {' '.join(each for each in arguments if each[0] != '-' and '://' not in each)}")
    say(run_command(data, *arguments))


def run_command(data: Path, *arguments: str, **settings: str) -> str:
    """Return what the command line prints."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "pipelet", *arguments, "--data-dir", str(data)],
        env=os.environ | OUR_SETTINGS | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(done.stderr)
    return done.stdout


def keep_running(data: Path, url: str, service: "subprocess.Popen[str]") -> None:
    """Print a link that signs a browser in, and return at Ctrl-C, or when the service has ended."""
    link = run_command(data, "login", PIPELET_PUBLIC_URL=url).strip()
    say(f"\nThe service keeps running. Its page, with these images: {link}")
    with contextlib.suppress(KeyboardInterrupt):
        say("The link signs in once, within five minutes. Ctrl-C stops the service.")
        raise Failed(f"the service ended with exit code {service.wait()}.")


def contact_sheet(paths: list[Path], side: int = 256, gap: int = 8) -> Path:
    """Put the images on one sheet, four in a row; large ones are scaled down."""
    across, rows = 4, -(-len(paths) // 4)
    sheet = Image.new("RGB", (across * (side + gap) + gap, rows * (side + gap) + gap), "white")
    for number, path in enumerate(paths):
        with Image.open(path) as image:
            image.thumbnail((side, side))
            left = gap + number % across * (side + gap) + (side - image.width) // 2
            top = gap + number // across * (side + gap) + (side - image.height) // 2
            sheet.paste(image, (left, top))
    path = OUTPUT / "contact-sheet.png"
    sheet.save(path)
    return path


def call(
    method: str, url: str, key: str = "", body: bytes | None = None, label: str = ""
) -> tuple[int, dict[str, Any]]:
    """Send a request; return the status code and the JSON body."""
    request = urllib.request.Request(url, body, method=method)  # noqa: S310 - our own service
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    if label:
        request.add_header("Content-Type", label)
    try:
        with opener.open(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def tail(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-15:]) if log.exists() else "(none)"


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)  # noqa: T201 - a demo prints


if __name__ == "__main__":
    sys.exit(main())
