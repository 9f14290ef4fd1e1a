"""The whole path with the real pipeline: from the seed's request to pixels."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelet.engine.sources import resolve
from tests.support.images import details, fetched
from tests.support.jobs import APP
from tests.support.service import Service

SEEDS_PROMPT = (
    "The girl from first image is playing chess with the girl from second image, on the ancient table from third image."
)


@pytest.fixture
def service(demo_service: Service) -> Service:
    return demo_service


@pytest.fixture(scope="module")
def pipe() -> Any:
    """What a user of diffusers would have."""
    import torch  # only here: each process of pytest imports this module
    from diffusers import ZImagePipeline

    from pipelet.engine.diffusers.devices import native_dtype

    loaded = ZImagePipeline.from_pretrained(resolve("package:demo"), dtype=native_dtype(torch.device("cpu")))
    loaded.set_progress_bar_config(disable=True)
    loaded.vae.enable_slicing()
    return loaded


@pytest.mark.parametrize(("width", "height", "batch_size", "seed"), [(256, 256, 1, 42), (300, 250, 3, 2**53 - 5)])
def test_images_equal_a_direct_call(
    service: Service, pipe: Any, width: int, height: int, batch_size: int, seed: int
) -> None:
    """Through queue, worker and files, every image is bit for bit what ZImagePipeline generates with the same seed, at
    sizes that the model knows, and cropped from them."""
    import torch

    request_id = service.submit("a red fox in the snow", width=width, height=height, batch_size=batch_size, seed=seed)
    result = service.result(request_id, within=120)

    generated_width, generated_height = -width % 32 + width, -height % 32 + height
    expected = pipe(
        prompt=["a red fox in the snow"] * batch_size,
        width=generated_width,
        height=generated_height,
        num_inference_steps=8,
        guidance_scale=1.5,  # as the catalog has it
        generator=[torch.Generator().manual_seed(seed + k) for k in range(batch_size)],
    ).images
    left, top = (generated_width - width) // 2, (generated_height - height) // 2
    for number, url in enumerate(result["results"]):
        cropped = expected[number].crop((left, top, left + width, top + height))
        assert np.array_equal(np.asarray(cropped), np.asarray(fetched(url)))
        assert seed + number == result["images"][number]["seed"]


def test_the_seeds_request_at_a_small_size(service: Service) -> None:
    """The document's own curl, sizes as strings and the form label on its body, yields four images of that size."""
    body = b'{"width": "320", "height": "200", "batch_size": 4, "prompt": "' + SEEDS_PROMPT.encode() + b'"}'
    request = urllib.request.Request(f"{service.url}/fal/queue/{APP}", body, method="POST")
    request.add_header("Authorization", f"Bearer {service.key}")
    request.add_header("Content-Type", "application/x-www-form-urlencoded")
    with urllib.request.urlopen(request) as response:
        assert 200 == response.status
        request_id = json.load(response)["request_id"]

    result = service.result(request_id, within=120)

    assert result["results"][0] == result["image"]["data_uri"]
    images = [fetched(url) for url in result["results"]]
    assert [("RGB", (320, 200))] * 4 == [(image.mode, image.size) for image in images]
    assert 4 == len({image.tobytes() for image in images})


def test_the_seeds_request_as_written_is_accepted(service: Service) -> None:
    """3200 x 2000 with a batch of 4 is queued, with an estimate, and can be cancelled while it waits."""
    with service.paused():
        ahead = [service.submit("long", width=512, height=512, batch_size=16, priority=1) for _ in range(2)]
        request_id = service.submit(SEEDS_PROMPT, width="3200", height="2000", batch_size=4)

        status = service.status(request_id)
        assert "IN_QUEUE" == status["status"]
        assert status["statusMessages"]["estimatedTotalTimeSeconds"] > 1
        code, body = service.call("PUT", f"/fal/queue/{APP}/requests/{request_id}/cancel")
        assert (202, "CANCELLATION_REQUESTED") == (code, body["status"])
        for other in ahead:
            service.call("PUT", f"/fal/queue/{APP}/requests/{other}/cancel?in_progress=true")


def test_the_seeds_request_as_written_is_generated_in_seconds(service: Service) -> None:
    """Four images of exactly 3200 x 2000, each generated at a size that the model knows, and each another."""
    request_id = service.submit(SEEDS_PROMPT, width="3200", height="2000", batch_size=4)

    result = service.result(request_id, within=120)

    images = [fetched(url) for url in result["results"]]
    assert [(3200, 2000)] * 4 == [image.size for image in images]
    assert ["384x256"] * 4 == [details(image)["drawn_at"] for image in images]
    assert 4 == len({image.tobytes() for image in images})
    assert result["timings"]["inference"] < 60, json.dumps(result)


@pytest.mark.parametrize(
    "prompt", ["a fox in the snow, " * 210, "狐雪山川" * 1000, "🦊\u200d" * 2000, "\t\x07." * 1333]
)
def test_any_prompt_gives_an_image(service: Service, prompt: str) -> None:
    """Of 4,000 characters, in Chinese, in emoji, with control characters: there is an image, never an error."""
    result = service.result(service.submit(prompt, width=256, height=256, num_inference_steps=1), within=120)

    image = fetched(result["image"]["data_uri"])
    assert ("RGB", (256, 256)) == (image.mode, image.size)


def test_a_folder_generates_and_says_why_it_cannot(tmp_path: Path, tiny_z_image: str) -> None:
    """Any folder is served. Only its model can count tokens: too many fail the request, and both numbers are named."""
    with Service(tmp_path, settings={"model": tiny_z_image}) as service:
        service.wait_for_worker()
        request_id = service.submit("狐雪山川" * 900)
        generated = service.result(service.submit("a fox", num_inference_steps=2), within=120)

        status = service.wait(request_id)
        code, body = service.call("GET", f"/fal/queue/{APP}/requests/{request_id}")

    assert (64, 64) == (generated["images"][0]["width"], generated["images"][0]["height"])
    assert "value_error" == status["error_type"]
    assert 422 == code
    assert "1504" in body["message"]


def test_torch_is_not_in_the_api_process(service: Service) -> None:
    """Only the engine's process has torch in it."""
    assert "libtorch" not in Path(f"/proc/{service.pid}/maps").read_text()
    assert any("libtorch" in Path(f"/proc/{pid}/maps").read_text() for pid in service.engine_pids())
