"""A small FLUX.2 [klein] that reads every input image at one size, and every prompt at one length."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import Flux2KleinPipeline
from PIL import Image, ImageOps

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import InvalidInput
from pipelet.domain.generation.image import InputImage
from pipelet.domain.generation.sizes import Size
from pipelet.domain.jobs.job import Job, JobState
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.devices import dtype_of
from pipelet.engine.engine_process import EngineProcess
from pipelet.store.sqlite import open_sqlite
from pipelet.worker.config import WorkerConfig
from pipelet.worker.images.resample import fit_inside
from pipelet.worker.worker import Worker
from tests.engine.calls import MakeSpec, Pixels
from tests.engine.diffusers.calls import assert_alike, generate_images
from tests.engine.diffusers.edits.models import FIRST, SECOND, noise_image
from tests.engine.diffusers.tiny_models.edits import make_klein
from tests.support.databases import empty_sqlite
from tests.support.images import encoded
from tests.support.jobs import make_job
from tests.support.waiting import until

MODEL = ModelConfig(
    name="fitted",
    source="",
    pipeline="Flux2KleinPipeline",
    num_inference_steps=3,
    guidance_scale=1.0,
    size_multiple=32,
    native_sizes=("96x64",),
    max_input_images=3,
    input_image_size="128x128",
    max_prompt_tokens=64,
)
LARGE = noise_image(320, 160)
PROMPTS = ["a boat", "the boat of the first image on the table of the second"]


class Fitted:
    """The backend, and the same checkpoint as a plain script loads and calls it."""

    def __init__(self, folder: Path) -> None:
        make_klein(folder, pixels=16, shift=3.0)
        self.folder = str(folder)
        self.backend = DiffusersBackend.load(model=MODEL, source=str(folder), device="cpu")
        dtype = dtype_of(MODEL, MODEL.pipeline, torch.device("cpu"))
        self._plain = Flux2KleinPipeline.from_pretrained(folder, dtype=dtype)
        self._plain.set_progress_bar_config(disable=True)
        self._plain.vae.enable_slicing()

    def call(self, prompt: str, images: Sequence[Pixels], *, size: tuple[int, int] = (96, 64), seed: int = 7) -> Pixels:
        """What a plain call generates, of images that Pillow has fitted."""
        output = self._plain(
            prompt=prompt,
            image=[_padded(image) for image in images] or None,
            width=size[0],
            height=size[1],
            num_inference_steps=3,
            guidance_scale=1.0,
            max_sequence_length=64,
            generator=torch.Generator("cpu").manual_seed(seed),
        )
        return np.asarray(output.images[0])


def _padded(image: Pixels) -> Image.Image:
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    colour = tuple(int(np.median(border[:, channel])) for channel in range(3))
    return ImageOps.pad(Image.fromarray(image), (128, 128), Image.Resampling.LANCZOS, color=colour)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return Fitted(tmp_path_factory.mktemp("fitted"))


def as_read(*images: Pixels) -> list[Pixels]:
    return [fit_inside(image, Size(128, 128)) for image in images]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("images", [(), (FIRST,), (SECOND, LARGE, FIRST)], ids=len)
def test_fitted_images_are_what_a_plain_call_gets(
    fitted: Fitted, make_edit: MakeSpec, prompt: str, images: tuple[Pixels, ...]
) -> None:
    """Bit for bit, of none, one and three images, whatever their sizes and however long the prompt; image by image in
    a batch."""
    spec = make_edit(*images, prompt=prompt, guidance_scale=1.0)

    generated = generate_images(fitted.backend, spec, count=3, input_images=as_read(*images))

    for number, image in enumerate(generated):
        assert_alike(fitted.call(prompt, images, seed=spec.seed + number)[None], image[None])
    np.testing.assert_array_equal(
        fitted.call(prompt, images, seed=spec.seed)[None],
        generate_images(fitted.backend, spec, input_images=as_read(*images)),
    )


@pytest.mark.usefixtures("forked_with_torch")
async def test_a_worker_gives_its_images_to_the_model_as_that_reads_them(fitted: Fitted, tmp_path: Path) -> None:
    """From stored input images of any size to files, bit for bit what a plain call generates."""
    images = (SECOND, LARGE, FIRST)
    (tmp_path / "pipelet.sqlite").write_bytes(empty_sqlite())
    store = open_sqlite(tmp_path / "pipelet.sqlite")
    blobs = DiskBlobStore(tmp_path / "files", signing_key=b"k", url_ttl_seconds=60)
    inputs = tuple(
        InputImage(key=f"inputs/{k}.png", width=image.shape[1], height=image.shape[0]) for k, image in enumerate(images)
    )
    for image, stored in zip(images, inputs, strict=True):
        await blobs.put(stored.key, encoded(Image.fromarray(image)), "image/png")
    fields: dict[str, Any] = {"width": 96, "height": 64, "batch_size": 2, "num_inference_steps": 3, "guidance_scale": 1}
    job = make_job(submitted_at=time.time(), prompt=PROMPTS[1], input_images=inputs, **fields)
    engine = EngineProcess(model=MODEL, source=fitted.folder, device="cpu", load_timeout=60)
    config = WorkerConfig(name="w", apps=(job.app,), model=MODEL, version="0", lease_seconds=5, grace_seconds=20)
    worker = Worker(config, store=store, blobs=blobs, engine=engine)
    await store.files.reserve_input_files(job.id, [stored.key for stored in inputs], time.time() + 900)
    await store.jobs.submit(job)
    running = asyncio.create_task(worker.run())

    async def ended() -> Job | None:
        found = await store.jobs.get(job.id)
        return found if found is not None and found.state.is_final else None

    done = await until(ended, within=60)
    worker.stop()
    await running
    store.close()

    assert JobState.SUCCEEDED == done.state, done.failure
    for image in done.images:
        with Image.open(tmp_path / "files" / image.key) as file:
            assert_alike(fitted.call(PROMPTS[1], images, seed=image.seed)[None], np.asarray(file)[None])


def test_any_size_is_cut_from_the_next_multiple(fitted: Fitted, make_edit: MakeSpec) -> None:
    """Of twice the pixels of a latent: 70x65 from the middle of 96x96."""
    spec = make_edit(FIRST, width=70, height=65, guidance_scale=1.0)

    whole = fitted.call(spec.prompt, [FIRST], size=(96, 96), seed=spec.seed)

    pixels = generate_images(fitted.backend, spec, input_images=as_read(FIRST))
    np.testing.assert_array_equal(whole[15:80, 13:83], pixels[0])


def test_a_prompt_beyond_the_length_is_refused(fitted: Fitted, make_edit: MakeSpec) -> None:
    """The error names both lengths; no prompt is cut."""
    with pytest.raises(InvalidInput, match=r"has \d+ tokens, and the model takes at most 64"):
        generate_images(fitted.backend, make_edit(FIRST, prompt="a " * 64), input_images=as_read(FIRST))


def test_without_a_map_there_are_no_previews(fitted: Fitted, make_edit: MakeSpec) -> None:
    """Though a client watches; the image is the same."""
    shown: list[Any] = []

    class Watched:
        is_due = True

        def show(self, pixels: Pixels, *, index: int, step: int) -> None:
            shown.append(step)

    spec = make_edit(FIRST)
    image = generate_images(fitted.backend, spec, input_images=as_read(FIRST), previews=Watched())

    assert [] == shown
    np.testing.assert_array_equal(image, generate_images(fitted.backend, spec, input_images=as_read(FIRST)))
