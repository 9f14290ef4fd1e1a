"""One installation, several models: each request waits for the workers that can generate it, and for no others."""

import json
import os
import signal
from pathlib import Path

import numpy as np

from pipelet.domain.generation.sizes import Size
from pipelet.worker.images.resample import fit_inside
from tests.support import processes
from tests.support.images import data_uri, encoded, fetched, new_image
from tests.support.jobs import APP, EDIT
from tests.support.service import GRADIENT, Service, kill_any
from tests.support.waiting import eventually

SKETCH = "sketch"
CATALOG = f"""
[models.gradient]
source = "none"
backend = "{GRADIENT}"
num_inference_steps = 8

[models.sketches]
source = "none"
backend = "{GRADIENT}"
num_inference_steps = 2

[apps.{APP}]
model = "gradient"

[apps.{SKETCH}]
task = "text-to-image"
model = "sketches"
"""
WITH_EDITS = f"""
[models.gradient]
source = "none"
backend = "{GRADIENT}"
num_inference_steps = 8
edit_model = "edits"

[models.edits]
source = "none"
backend = "{GRADIENT}"
num_inference_steps = 2
max_input_images = 3
requires_input_image = true
input_image_size = "64x64"
"""


def test_requests_wait_for_the_workers_of_their_model_alone(tmp_path: Path) -> None:
    """Of two apps with a model each and one worker, one is generated while the other waits; its place counts only its
    own kind, and a worker for it generates it. A worker for no app in particular is one for each model."""
    catalog = tmp_path / "two-models.toml"
    catalog.write_text(CATALOG)
    settings = {"catalog": str(catalog), "model": "", "log_level": "warning"}
    with Service(tmp_path, arguments=("--workers", "0"), settings=settings) as service:
        first = service.start_worker("--app", APP)
        service.wait_for_worker()
        sketches = [service.submit(f"sketch {number}", app=SKETCH) for number in range(3)]
        images = [service.submit(f"image {number}") for number in range(3)]

        for request_id in images:
            service.wait(request_id)
        waiting = [service.status(request_id) for request_id in sketches]
        assert ["IN_QUEUE"] * 3 == [status["status"] for status in waiting]
        assert [0, 1, 2] == [status["queue_position"] for status in waiting]

        second = service.start_worker("--app", SKETCH)
        for request_id in sketches:
            service.wait(request_id)
        assert {(APP,), (SKETCH,)} == served_apps(service)

        for worker in (first, second):
            worker.terminate()
        eventually(lambda: None not in (first.poll(), second.poll()), why="the workers end")
        assert (0, 0) == (first.returncode, second.returncode)

        both = service.start_worker("--name", "both")
        eventually(lambda: served_apps(service) == {(APP,), (SKETCH,)}, why="both models have a worker")
        for request_id in (service.submit("a sketch", app=SKETCH), service.submit("an image")):
            service.wait(request_id)
        both.terminate()
        eventually(lambda: both.poll() is not None, why="the workers end together")
        assert (0, set()) == (both.returncode, served_apps(service))


def test_one_serve_has_a_worker_for_each_model(tmp_path: Path) -> None:
    """It serves every app, and says of each worker what it is for. A worker that is killed holds up the requests of its
    own model and no others until there is another for it, and Ctrl-C ends everything."""
    catalog = tmp_path / "edits.toml"
    catalog.write_text(WITH_EDITS)
    with Service(tmp_path, settings={"catalog": str(catalog)}) as service:
        eventually(lambda: served_apps(service) == {(APP,), (EDIT,)}, why=service.log)
        assert ["ready", []] == [service.health()[name] for name in ("status", "notes")]
        assert [EDIT, APP] == sorted(line["app"] for line in service.lines("worker.started"))
        listed = json.loads(service.run("queue", "--json").stdout)["workers"]
        assert {"gradient on cpu", "edits on cpu"} == {worker["kind"] for worker in listed}

        slow = service.submit("a wave sleep=0.3")
        service.wait(slow, status="IN_PROGRESS")
        kill_any([pid for pid in service.worker_pids() if APP.encode() in processes.arguments(pid)])
        images = [new_image((192, 64), "red"), new_image((64, 64), "lime"), new_image((64, 256), "blue")]
        body = {"prompt": "all", "image_urls": [data_uri(encoded(image)) for image in images], "width": 192}
        code, submitted = service.call("POST", f"/fal/queue/{EDIT}", body | {"height": 128})
        assert 200 == code, submitted
        edited = service.result(submitted["request_id"], app=EDIT)
        assert "COMPLETED" != service.status(slow)["status"]
        shown = np.asarray(fetched(edited["results"][0]).convert("RGB"))[:64]
        fitted = [fit_inside(np.asarray(image), Size(64, 64)) for image in images]
        np.testing.assert_array_equal(np.concatenate(fitted, axis=1), shown)

        assert "COMPLETED" == service.wait(slow)["status"]
        assert "error" not in service.status(slow)
        assert [EDIT, APP, APP] == sorted(line["app"] for line in service.lines("worker.started"))

        assert service.process is not None
        os.kill(service.pid, signal.SIGINT)
        assert 0 == service.process.wait(30)
        eventually(lambda: not service.pids(), why="nothing is left")


def served_apps(service: Service) -> set[tuple[str, ...]]:
    """The apps of each worker that is ready."""
    return {tuple(worker["apps"]) for worker in service.health()["workers"] if worker["ready"]}
