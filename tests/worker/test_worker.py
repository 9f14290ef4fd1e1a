"""The worker, with real engine processes."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipelet.domain.capacity.cost_model import CostModel, spec_work
from pipelet.domain.generation.image import OutputFormat
from pipelet.domain.jobs.job import JobState
from pipelet.domain.jobs.progress import Progress
from tests.support.backends.gradient import gradient_image
from tests.support.images import details
from tests.support.jobs import make_spec
from tests.worker.conftest import WorkerHarness
from tests.worker.jobs import assert_right_images, job_now


async def test_a_request_becomes_its_images(harness: WorkerHarness) -> None:
    """Every image of the batch is stored with its own seed, all tasks are done, and the files tell their story."""
    async with harness.worker():
        job = await harness.store.jobs.submit(job_now(prompt="a fox, 狐", batch_size=3, width=97, height=65))
        done = await harness.ended(job)

    assert_right_images(harness, done)
    assert Progress(12, 12) == done.progress
    with Image.open(harness.files / done.images[2].key) as file:
        story = details(file)
    assert ("a fox, 狐", 44, "97x65", 8, job.id) == tuple(
        story[key] for key in ("prompt", "seed", "size", "num_inference_steps", "request_id")
    )
    assert ["00001", "00002", "00003"] == [image.file_name.split("__")[1][:5] for image in done.images]


@pytest.mark.parametrize("output_format", [OutputFormat.JPEG, OutputFormat.WEBP])
async def test_other_formats_tell_their_story_too(harness: WorkerHarness, output_format: OutputFormat) -> None:
    """JPEG and WebP files look like the image and carry prompt and seed in their Exif data."""
    async with harness.worker():
        done = await harness.ended(await harness.store.jobs.submit(job_now(output_format=output_format)))

    with Image.open(harness.files / done.images[0].key) as file:
        assert output_format.value.upper() == file.format
        difference = np.asarray(file.convert("RGB")).astype(int) - gradient_image(done.spec, done.spec.seed)
        comment = file.getexif().get_ifd(0x8769)[0x9286]
    assert np.abs(difference).mean() < 4
    assert done.spec.prompt in comment.removeprefix(b"UNICODE\0").decode("utf-16-be")


async def test_a_batch_that_does_not_fit_is_generated_in_parts(harness: WorkerHarness) -> None:
    """Parts change the number of tasks, never the images, nor which of them a safety checker flagged."""
    async with harness.worker(max_megapixels_per_batch=2 * 96 * 64 / 1e6):
        done = await harness.ended(await harness.store.jobs.submit(job_now(batch_size=5)))

    assert_right_images(harness, done)
    assert Progress(36, 36) == done.progress
    assert [image.seed % 2 == 1 for image in done.images] == [image.has_nsfw_concepts for image in done.images]


async def test_sizes_the_model_was_not_trained_for_are_resampled(harness: WorkerHarness) -> None:
    """The image is the native one, scaled to cover what was asked for; its file says at which size it was generated."""
    asked = job_now(width=480, height=320, batch_size=2)
    async with harness.worker(native_sizes=("64x64", "96x64"), max_megapixels_per_batch=2 * 96 * 64 / 1e6):
        done = await harness.ended(await harness.store.jobs.submit(asked))
        trained = await harness.ended(await harness.store.jobs.submit(job_now()))

    native = replace(done.spec, width=96, height=64)
    for number, image in enumerate(done.images):
        with Image.open(harness.files / image.key) as file:
            shrunk = file.convert("RGB").resize((96, 64), Image.Resampling.BOX)
            assert ("480x320", "96x64") == (details(file)["size"], details(file)["drawn_at"])
            assert (480, 320) == file.size == (image.width, image.height)
        difference = np.asarray(shrunk).astype(int) - gradient_image(native, done.spec.seed + number)
        assert np.abs(difference).mean() < 2
    assert Progress(12, 12) == done.progress
    assert_right_images(harness, trained)
    with Image.open(harness.files / trained.images[0].key) as file:
        assert "drawn_at" not in details(file)


async def test_a_refined_image_is_stored_as_it_was_generated(harness: WorkerHarness) -> None:
    """Where the engine makes a second pass it hands over the full size, and the tasks are those of both passes."""
    fields = {"native_sizes": ("96x64",), "refine_strength": 0.3, "max_megapixels_per_batch": 192 * 128 / 1e6}
    async with harness.worker("refines:Backend", **fields):
        done = await harness.ended(await harness.store.jobs.submit(job_now(width=192, height=128, batch_size=2)))

    assert_right_images(harness, done)
    assert Progress(2 * (12 + 5), 2 * (12 + 5)) == done.progress
    with Image.open(harness.files / done.images[0].key) as file:
        told = details(file)
    assert ("96x64", 0.3) == (told["drawn_at"], told["refine_strength"])


async def test_progress_grows_task_by_task(harness: WorkerHarness) -> None:
    """What the store says while a request runs never falls, always names the same total, and shows the steps."""
    seen: list[Progress] = []
    async with harness.worker():
        job = await harness.store.jobs.submit(job_now(prompt="sleep=0.15"))
        while not (found := await harness.store.jobs.get(job.id)) or not found.state.is_final:
            if found and found.progress and found.progress not in seen:
                seen.append(found.progress)
            await asyncio.sleep(0.01)

    assert {12} == {progress.total for progress in seen}
    assert sorted(progress.done for progress in seen) == [progress.done for progress in seen]
    assert len(seen) > 5


async def test_the_next_request_is_generated_while_files_are_stored(harness: WorkerHarness) -> None:
    """The engine is on the second request before the first one's files are stored."""

    class SlowDisk:
        """Our own port, on the real disk, held until the test lets it go."""

        gate = asyncio.Event()

        async def put(self, key: str, data: bytes, content_type: str) -> None:
            await self.gate.wait()
            await harness.blobs.put(key, data, content_type)

    async with harness.worker(blobs=SlowDisk()):
        first = await harness.store.jobs.submit(job_now())
        second = await harness.store.jobs.submit(job_now())
        await harness.begun(second)
        waiting = await harness.store.jobs.get(first.id)
        SlowDisk.gate.set()
        ended = [await harness.ended(first), await harness.ended(second)]

    assert waiting is not None
    assert JobState.RUNNING == waiting.state
    for job in ended:
        assert_right_images(harness, job)


async def test_generation_is_learned_at_the_size_it_is_done_at(harness: WorkerHarness) -> None:
    """How large the image becomes afterwards says nothing about generation, and how small it was nothing of storing."""
    async with harness.worker(native_sizes=("96x64",)):
        await harness.ended(await harness.store.jobs.submit(job_now(width=960, height=640)))

    cost_models = await harness.store.workers.cost_models()
    generating = CostModel().observe(spec_work(make_spec(width=96, height=64)), 1.0)
    recording = CostModel().observe(spec_work(make_spec(width=960, height=640)), 1.0)
    assert generating.matrix == cost_models["zoo on cpu", "generate"].matrix
    assert recording.matrix == cost_models["zoo on cpu", "store"].matrix


async def test_times_are_learned(harness: WorkerHarness) -> None:
    """Finished requests teach the store how long generating and recording take on this kind of worker."""
    async with harness.worker():
        for _ in range(3):
            await harness.ended(await harness.store.jobs.submit(job_now()))

    cost_models = await harness.store.workers.cost_models()
    assert {("zoo on cpu", "generate"): 3, ("zoo on cpu", "store"): 3} == {
        kind: sums.count for kind, sums in cost_models.items()
    }


async def test_very_long_texts_fit_into_the_exif_data(harness: WorkerHarness) -> None:
    """A JPEG's story is cut where the format ends, and the image is stored."""
    async with harness.worker():
        job = job_now(prompt="a", negative_prompt="😀" * 4000, output_format=OutputFormat.JPEG)
        done = await harness.ended(await harness.store.jobs.submit(job))

    assert (JobState.SUCCEEDED, 1) == (done.state, done.attempt)
