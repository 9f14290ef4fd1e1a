"""An edit from outside: pictures come from everywhere, and go with their request."""

import contextlib
import io
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.pictures import data_uri, png
from tests.service import APP, GRADIENT, Service, eventually

EDIT = "z-image-image-edit"
CATALOG = f"""
[models.gradient]
source = "none"
painter = "{GRADIENT}"
num_inference_steps = 2
max_references = 3
"""


@contextlib.contextmanager
def web_server(data: bytes) -> Iterator[str]:
    """The URL of a picture on a server of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/blue.png"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fetched(url: str) -> Image.Image:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return Image.open(io.BytesIO(answer.read())).convert("RGB")


def drawn(service: Service, request_id: str) -> tuple[str, Image.Image]:
    service.wait(request_id)
    code, body = service.call("GET", f"/fal/queue/{EDIT}/requests/{request_id}")
    assert 200 == code, body
    return body["results"][0], fetched(body["results"][0])


def test_an_edit_of_pictures_from_everywhere(tmp_path: Path) -> None:
    """A data: URI, a web server that the operator allows, and a result of our own are drawn in this order, at the size
    of the first, when the server may be gone already. After the retention time all of them are deleted."""
    catalog = tmp_path / "edits.toml"
    catalog.write_text(CATALOG)
    settings = {"catalog": str(catalog), "allowed_networks": "127.0.0.1/32", "log_level": "warning"}
    inputs = tmp_path / "data" / "files" / "inputs"
    with Service(tmp_path, settings=settings) as service:
        service.wait_for_worker()
        own_url, own = drawn(service, service.submit("waves", app=APP, width=96, height=96))
        red = data_uri(png((192, 128), "red"))
        with web_server(png((64, 64), "blue")) as blue_url:
            body = {"prompt": "the first beside the second and the third", "image_urls": [red, blue_url, own_url]}
            code, submitted = service.call("POST", f"/fal/queue/{EDIT}", body)
        assert 200 == code, submitted
        url, edited = drawn(service, submitted["request_id"])

        assert f"/outputs/{EDIT.replace('-', '_')}_api/" in url
        assert (192, 128) == edited.size
        assert [(255, 0, 0), (0, 0, 255)] == [edited.getpixel(at) for at in ((10, 10), (100, 50))]
        third = np.asarray(edited)[:64, 128:]
        assert np.array_equal(np.asarray(own)[np.arange(64) * 96 // 64][:, np.arange(64) * 96 // 64], third)

        assert 3 == len([each for each in inputs.rglob("*") if each.is_file()])
        refused, answer = service.call("POST", f"/fal/queue/{EDIT}", body | {"image_urls": [red, blue_url]})
        assert (422, ["body", "image_urls", 1]) == (refused, answer["detail"][0]["loc"])  # nobody serves it any more

        service.stop()
        service.settings["retention_days"] = "0.00001"
        service.start()
        eventually(lambda: not [each for each in inputs.rglob("*") if each.is_file()], why="the pictures are deleted")
