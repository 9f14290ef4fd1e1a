"""One installation, several models: each request waits for the workers that can generate it, and for no others."""

from pathlib import Path

from tests.support.jobs import APP
from tests.support.service import GRADIENT, Service
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


def test_requests_wait_for_the_workers_of_their_model_alone(tmp_path: Path) -> None:
    """Of two apps with a model each and one worker, one is generated while the other waits; its place counts only its
    own kind, and a worker for it generates it."""
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
        assert {(APP,), (SKETCH,)} == {tuple(worker["apps"]) for worker in service.health()["workers"]}

        for worker in (first, second):
            worker.terminate()
        eventually(lambda: None not in (first.poll(), second.poll()), why="the workers end")
        assert (0, 0) == (first.returncode, second.returncode)
