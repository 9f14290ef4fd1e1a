"""An edit from outside: images come from everywhere, and go with their request."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.images import data_uri, fetched, png
from tests.support.jobs import APP, EDIT
from tests.support.servers.tcp import in_background
from tests.support.servers.web import WebServer, whole
from tests.support.service import GRADIENT, REPOSITORY, Service, environment
from tests.support.waiting import eventually

CATALOG = f"""
[models.gradient]
source = "none"
backend = "{GRADIENT}"
num_inference_steps = 2
max_input_images = 3
"""


def generated(service: Service, request_id: str) -> tuple[str, Image.Image]:
    url = service.result(request_id, app=EDIT)["results"][0]
    return url, fetched(url).convert("RGB")


def test_an_edit_of_images_from_everywhere(tmp_path: Path) -> None:
    """A data: URI, a web server that the operator allows, and a result of our own are generated in this order, at the
    size of the first, when the server may be gone already. After the retention time all of them are deleted."""
    catalog = tmp_path / "edits.toml"
    catalog.write_text(CATALOG)
    settings = {"catalog": str(catalog), "allowed_networks": "127.0.0.1/32", "log_level": "warning"}
    inputs, uploads = [tmp_path / "data" / "files" / name for name in ("inputs", "uploads")]
    with Service(tmp_path, settings=settings) as service:
        service.wait_for_worker()
        own_url, own = generated(service, service.submit("waves", app=APP, width=96, height=96))
        red = data_uri(png((192, 128), "red"))
        with in_background(WebServer(lambda _: whole(png((64, 64), "blue")))) as web:
            blue_url = f"{web.url}/blue.png"
            body = {"prompt": "the first next to the second and the third", "image_urls": [red, blue_url, own_url]}
            code, submitted = service.call("POST", f"/fal/queue/{EDIT}", body)
        assert 200 == code, submitted
        url, edited = generated(service, submitted["request_id"])

        assert f"/outputs/{EDIT.replace('-', '_')}_api/" in url
        assert (192, 128) == edited.size
        assert [(255, 0, 0), (0, 0, 255)] == [edited.getpixel(at) for at in ((10, 10), (100, 50))]
        third = np.asarray(edited)[:64, 128:]
        assert np.array_equal(np.asarray(own)[np.arange(64) * 96 // 64][:, np.arange(64) * 96 // 64], third)

        sent = [tmp_path / f"{colour}.png" for colour in ("lime", "blue")]
        for path in sent:
            path.write_bytes(png((96, 64), path.stem))
        images = [argument for path in sent for argument in ("--image", str(path))]
        by_command = service.run("generate", "the first next to the second", *images, "--out", str(tmp_path))
        assert 0 == by_command.returncode, by_command.stderr
        with Image.open(by_command.stdout.strip()) as of_files:
            assert (96, 64) == of_files.size
        assert 2 == len([each for each in uploads.iterdir() if each.read_bytes() in [p.read_bytes() for p in sent]])

        example = [sys.executable, str(REPOSITORY / "examples" / "image_edit.py"), *map(str, sent)]
        variables = environment(api_url=service.url, api_key=service.key)
        name = subprocess.check_output(example, cwd=tmp_path, env=variables, text=True, timeout=60).strip()
        with Image.open(tmp_path / name) as of_uploads:
            assert (256, 256) == of_uploads.size

        assert 7 == len([each for each in inputs.rglob("*") if each.is_file()])
        refused, response = service.call("POST", f"/fal/queue/{EDIT}", body | {"image_urls": [red, blue_url]})
        assert (422, ["body", "image_urls", 1]) == (refused, response["detail"][0]["loc"])  # its server is gone

        service.stop()
        service.settings["retention_days"] = "0.000001"
        service.start()
        eventually(lambda: not [each for each in inputs.rglob("*") if each.is_file()], why="the images are deleted")
