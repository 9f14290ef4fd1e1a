"""The whole path with a model that draws small: the seed's request as written, in seconds."""

import io
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.service import APP, Service

_CATALOG = """
[models.small]
source = "package:box"
pipeline = "ZImagePipeline"
num_inference_steps = 8
guidance_scale = 0.0
size_multiple = 32
native_sizes = ["256x256", "320x256", "256x320", "384x256", "256x384", "512x256", "256x512"]
max_prompt_tokens = 96
long_prompts = "cut"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("small")
    catalog = folder / "small.toml"
    catalog.write_text(_CATALOG)
    with Service(folder, settings={"catalog": str(catalog), "model": "small", "threads": "1"}) as running:
        running.wait_for_worker()
        yield running


def test_the_seeds_request_as_written(service: Service) -> None:
    """Four pictures of exactly 3200 x 2000, each drawn at a size that the model knows, and each another."""
    body = {"width": "3200", "height": "2000", "batch_size": 4, "prompt": "The girl is playing chess. " * 148}
    request_id = service.submit(**body)  # type: ignore[arg-type]
    service.wait(request_id, within=120)

    _, result = service.call("GET", f"/fal/queue/{APP}/requests/{request_id}")

    pictures = [_open(url) for url in result["results"]]
    assert [(3200, 2000)] * 4 == [picture.size for picture in pictures]
    assert ["384x256"] * 4 == [picture.info["drawn_at"] for picture in pictures]
    assert 4 == len({picture.tobytes() for picture in pictures})
    assert result["timings"]["inference"] < 60, json.dumps(result)


def _open(url: str) -> Image.Image:
    with urllib.request.urlopen(url) as response:
        return Image.open(io.BytesIO(response.read()))
