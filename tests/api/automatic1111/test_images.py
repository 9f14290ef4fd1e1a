"""Text to image and image to image, as clients of AUTOMATIC1111's API call them."""

import asyncio
import base64
import contextlib
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from pipelet.domain.catalog import Catalog
from pipelet.domain.generation.image import OutputFormat
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.jobs.outcome import FailureKind
from pipelet.worker.images.encode import encode
from pipelet.worker.images.metadata import Metadata
from tests.api.openai.calls import called
from tests.api.service import CATALOG, WITH_STRENGTH, Service, catalog_of_edits
from tests.support.images import data_uri, png
from tests.support.jobs import APP, EDIT, claim_request
from tests.support.waiting import until

TEXT, IMAGE = "/sdapi/v1/txt2img", "/sdapi/v1/img2img"
SILLY_TAVERN = {
    "prompt": "a red apple",
    "negative_prompt": "",
    "sampler_name": "Default",
    "scheduler": "",
    "steps": 20,
    "cfg_scale": 7.0,
    "width": 320,
    "height": 200,
    "restore_faces": False,
    "enable_hr": False,
    "hr_upscaler": "None",
    "hr_scale": 2,
    "denoising_strength": 0.7,
    "seed": -1,
    "override_settings": {"CLIP_stop_at_last_layers": 1, "sd_model_checkpoint": "demo"},
    "override_settings_restore_afterwards": True,
    "clip_skip": 1,
    "save_images": True,
    "send_images": True,
    "do_not_save_grid": False,
}


async def answered(service: Service, body: dict[str, Any], path: str = TEXT) -> tuple[httpx2.Response, Job]:
    call = await called(service, body, path)
    lease = await service.store.leases.claim(claim_request(APP, EDIT, now=service.clock.now()))
    assert lease is not None
    await service.succeed(lease)
    return await call, lease.job


async def test_what_sillytavern_sends_is_taken(service: Service) -> None:
    """The images are in the response, with `info` as a JSON text; what has no effect is named in a header."""
    response, job = await answered(service, SILLY_TAVERN)

    assert 200 == response.status_code, response.text
    body = response.json()
    assert [b"png bytes"] == [base64.b64decode(each, validate=True) for each in body["images"]]
    info = json.loads(body["info"])
    seed = job.spec.seed
    assert (seed, [seed], 20, 7.0) == tuple(info[name] for name in ("seed", "all_seeds", "steps", "cfg_scale"))
    assert f"Steps: 20, Sampler: Default, CFG scale: 7, Seed: {seed}, Size: 320x200" in info["infotexts"][0]
    assert ("a red apple", 320, 200) == tuple(body["parameters"][name] for name in ("prompt", "width", "height"))
    ignored = set(response.headers["x-pipelet-ignored"].split(", "))
    assert {"denoising_strength", "hr_scale", "clip_skip"} <= ignored
    assert not ignored & {"steps", "cfg_scale", "seed", "sampler_name", "enable_hr", "restore_faces"}
    assert job.id == response.headers["x-request-id"]


@pytest.mark.parametrize("two", [2, "2", 2.0])
async def test_batches_are_one_request(service: Service, two: Any) -> None:
    """`n_iter` times `batch_size` images, in the order of their seeds; sizes are 512 unless given."""
    response, job = await answered(service, {"prompt": "a cat", "n_iter": two, "batch_size": two, "seed": 7})

    assert (4, 512, 512) == (job.spec.batch_size, job.spec.width, job.spec.height)
    assert [7, 8, 9, 10] == json.loads(response.json()["info"])["all_seeds"]
    assert 4 == len(response.json()["images"])


@pytest.mark.parametrize("catalog", [WITH_STRENGTH])
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
async def test_an_image_is_generated_again(service: Service, prefix: str) -> None:
    """Base64 alone is an image, as is a data: URI; the size is the image's unless given; the strength is honoured."""
    file = io.BytesIO()
    Image.new("RGB", (96, 64), "red").save(file, "PNG")
    image = prefix + base64.b64encode(file.getvalue()).decode()
    body = {"prompt": "a cat", "init_images": [image], "denoising_strength": 0.4}
    response, job = await answered(service, body, IMAGE)

    assert (96, 64, 0.4) == (job.spec.width, job.spec.height, job.spec.strength)
    assert 0.4 == response.json()["parameters"]["denoising_strength"]


@pytest.mark.parametrize(
    ("body", "path", "field"),
    [
        ({"prompt": "a cat", "enable_hr": True}, TEXT, "enable_hr"),
        ({"prompt": "a cat", "mask": "aGk="}, IMAGE, "mask"),
        ({"prompt": "a cat", "script_name": "x/y plot"}, TEXT, "script_name"),
        ({"prompt": "a cat", "steps": 100_000}, TEXT, "steps"),
        ({"prompt": "a cat", "width": 7}, TEXT, "width"),
        ({"prompt": "a cat", "init_images": ["aGk="]}, IMAGE, "init_images"),
        ({"prompt": "a cat"}, IMAGE, "init_images"),
        ({"prompt": "a cat", "init_images": "aGk="}, IMAGE, "init_images"),
        ({"prompt": " "}, TEXT, "prompt"),
        ({"prompt": "a cat", "batch_size": "many", "n_iter": {}}, TEXT, "batch_size"),
        ({"prompt": "a cat", "n_iter": "many"}, TEXT, "n_iter"),
        ({"prompt": "a cat", "n_iter": 0}, TEXT, "n_iter"),
        ({"prompt": "a cat", "batch_size": -1, "n_iter": -1}, TEXT, "batch_size"),
        ({"prompt": "a cat", "batch_size": 10**4000, "n_iter": 10**4000}, TEXT, "batch_size"),
        ({"prompt": "a cat", "override_settings": {"sd_model_checkpoint": "sdxl"}}, TEXT, "sdxl"),
    ],
)
async def test_what_would_be_another_image_is_refused(
    service: Service, body: dict[str, Any], path: str, field: str
) -> None:
    """The message names the field as it was sent, and nothing is queued."""
    response = await service.client.post(path, json=body)

    assert response.status_code == (404 if field == "sdxl" else 422), response.text
    assert {"error", "detail", "body", "errors"} == response.json().keys()
    assert field in response.json()["detail"] or field == "sdxl"
    assert 0 == await service.queued()


async def test_failures_and_cancels_are_told(service: Service) -> None:
    """A failure has the status of its kind, and its message; what was cancelled in the queue is a 499."""
    call = await called(service, {"prompt": "a cat"}, TEXT)
    await service.fail(await service.claim(), FailureKind.INVALID_INPUT, "The model cannot do this.")
    failed = await call
    call = await called(service, {"prompt": "a cat"}, TEXT)
    await service.client.post("/sdapi/v1/interrupt")
    interrupted = await call

    assert (400, "The model cannot do this.") == (failed.status_code, failed.json()["detail"])
    assert 499 == interrupted.status_code


async def test_a_call_that_the_database_fails_leaves_no_request(service: Service, tmp_path: Path) -> None:
    """Its client is told to call again, and would have the images generated twice."""
    with contextlib.closing(sqlite3.connect(tmp_path / "pipelet.db")) as other:
        other.execute("DROP TABLE newest_request")
    response = await service.client.post(TEXT, json={"prompt": "a cat"})

    assert 503 == response.status_code
    assert 0 == await service.queued()


async def test_progress_and_interrupt_are_of_the_newest_request_of_the_caller(service: Service) -> None:
    """Another user's is neither seen nor stopped, nor is one that was made through another API."""
    await service.submit()
    quiet = (await service.client.get("/sdapi/v1/progress")).json()
    other = {"Authorization": f"Bearer {await service.new_key('bob')}"}
    call = asyncio.create_task(service.client.post(TEXT, json={"prompt": "a cat"}, headers=other))
    await until(lambda: _is_known(service, other))
    unseen = (await service.client.get("/sdapi/v1/progress")).json()
    await service.client.post("/sdapi/v1/interrupt")
    waiting = (await service.client.get("/sdapi/v1/progress", headers=other)).json()
    await service.claim()
    lease = await service.claim()
    running = (await service.client.get("/sdapi/v1/progress?skip_current_image=true", headers=other)).json()
    await service.client.post("/sdapi/v1/interrupt", headers=other)
    stopping = await service.store.jobs.get(lease.job.id)
    await service.succeed(lease)
    await call
    after = (await service.client.get("/sdapi/v1/progress", headers=other)).json()

    assert [0, 0, 1, 1, 0] == [each["state"]["job_count"] for each in (quiet, unseen, waiting, running, after)]
    assert (0.0, 0.0) == (waiting["progress"], running["progress"])
    assert lease.job.id == running["state"]["job"]
    assert stopping is not None
    assert JobState.RUNNING is stopping.state


@pytest.mark.parametrize(
    ("path", "later"), [(TEXT, catalog_of_edits(max_input_images=1)), (IMAGE, CATALOG.with_model("owner/name"))]
)
async def test_progress_of_an_app_that_is_not_served_any_more(service: Service, path: str, later: Catalog) -> None:
    """Its request waits on after a restart with another catalog, or with a model that cannot edit."""
    call = await called(
        service, {"prompt": "a cat", **({"init_images": [data_uri(png())]} if path == IMAGE else {})}, path
    )
    await until(lambda: _is_known(service, {}))
    transport = httpx2.ASGITransport(service.another_api(catalog=later))
    async with httpx2.AsyncClient(transport=transport, headers=service.client.headers) as other:
        response = await other.get("http://pipelet.test/sdapi/v1/progress")
    call.cancel()

    assert (200, 1) == (response.status_code, response.json()["state"]["job_count"])


async def _is_known(service: Service, headers: dict[str, str]) -> bool:
    """Whether a call of this user is in the queue, and is the newest."""
    progress = await service.client.get("/sdapi/v1/progress", headers=headers)
    return bool(progress.json()["state"]["job_count"])


async def test_the_parameters_inside_a_png_are_read(service: Service) -> None:
    """Of the files that workers make; another file has none, and what is no Base64 is refused."""
    metadata = Metadata(parameters="a cat \u732b\nSteps: 8", xmp="<x/>", software="Pipelet")
    png = encode(np.zeros((64, 64, 3), np.uint8), OutputFormat.PNG, metadata)
    asked = [
        base64.b64encode(png).decode(),
        f"data:image/png;base64,{base64.b64encode(png).decode()}",
        "aGk=",
        "?",
        "\xe9",
    ]
    found = [await service.client.post("/sdapi/v1/png-info", json={"image": image}) for image in asked]

    assert ["a cat \u732b\nSteps: 8"] * 2 + [""] == [each.json()["info"] for each in found[:3]]
    assert [422, 422] == [each.status_code for each in found[3:]]
