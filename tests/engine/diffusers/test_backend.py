"""The real pipeline on a tiny checkpoint, in this process: what it generates, refuses and survives."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import GenerationCancelled, InvalidInput, ModelLoadError, OutOfMemory
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.engine_process import EngineProcess
from tests.engine.calls import MakePart, MakeSpec
from tests.engine.diffusers.calls import assert_alike, call, generate_images, used_by
from tests.engine.diffusers.tiny_models.stable_diffusion import make_stable_diffusion
from tests.engine.diffusers.tiny_models.z_image import TINY


@pytest.mark.parametrize(
    ("width", "height", "count", "seed"), [(64, 64, 1, 0), (128, 64, 3, 7), (80, 208, 1, 2**53 - 1), (256, 256, 3, 1)]
)
def test_an_image_is_what_a_plain_call_generates(
    tiny: DiffusersBackend, plain: Any, make_spec: MakeSpec, width: int, height: int, count: int, seed
) -> None:
    """Bit for bit the images of ZImagePipeline with one generator an image."""
    spec = make_spec(width=width, height=height, seed=seed, num_inference_steps=8)

    np.testing.assert_array_equal(call(plain, spec, count=count), generate_images(tiny, spec, count=count))


@pytest.mark.parametrize(("width", "height"), [(70, 65), (127, 81), (64, 95), (1, 1)])
def test_other_sizes_are_cut_from_the_middle_of_the_next_larger(
    tiny: DiffusersBackend, plain: Any, make_spec: MakeSpec, width: int, height: int
) -> None:
    """A size that the model cannot generate is honoured exactly: the next one, cropped, centred."""
    spec = make_spec(width=width, height=height)
    wide, high = -(-width // 16) * 16, -(-height // 16) * 16

    whole = call(plain, spec, width=wide, height=high)

    left, top = (wide - width) // 2, (high - height) // 2
    np.testing.assert_array_equal(whole[:, top : top + height, left : left + width], generate_images(tiny, spec))


def test_guidance_generates_with_the_negative_prompt(tiny: DiffusersBackend, plain: Any, make_spec: MakeSpec) -> None:
    """Guidance and a negative prompt reach the pipeline, and each changes the image."""
    spec = make_spec(guidance_scale=3.0, negative_prompt="text, logo, watermark, " * 20)

    pixels = generate_images(tiny, spec)

    assert_alike(call(plain, spec, negative_prompt=[spec.negative_prompt]), pixels)
    assert (pixels != generate_images(tiny, make_spec(guidance_scale=3.0))).any()
    assert (pixels != generate_images(tiny, make_spec())).any()


def test_an_image_does_not_depend_on_its_batch(tiny: DiffusersBackend, make_spec: MakeSpec) -> None:
    """Image k alone is image k of the batch, and the parts of a batch make the whole."""
    spec = make_spec(width=96, height=80)
    whole = generate_images(tiny, spec, count=4)

    assert_alike(whole[2:3], generate_images(tiny, spec, first=2))
    assert_alike(whole[1:4], generate_images(tiny, spec, first=1, count=3))
    assert_alike(whole[3:4], generate_images(tiny, make_spec(width=96, height=80, seed=10)))


def test_images_depend_visibly_on_prompt_and_seed(tiny: DiffusersBackend, make_spec: MakeSpec) -> None:
    """Another prompt and another seed give images that are visibly different."""
    one = generate_images(tiny, make_spec(width=128, height=128)).astype(float)

    for changes in ({"prompt": "a blue lake"}, {"seed": 8}):
        other = generate_images(tiny, make_spec(width=128, height=128, **changes))
        assert np.abs(one - other).mean() > 5


def test_progress_is_every_task_once(tiny: DiffusersBackend, make_spec: MakeSpec) -> None:
    """Encoded 1, each step 1, decoded 1, whatever the number of images."""
    for steps, count in [(1, 1), (8, 1), (5, 3)]:
        reported: list[int] = []

        generate_images(tiny, make_spec(num_inference_steps=steps), count=count, on_progress=reported.append)

        assert list(range(1, steps + 3)) == reported


@pytest.mark.parametrize("stop_at", [0, 1, 2, 4, 5])
def test_a_cancelled_generation_stops_at_once_and_leaves_no_trace(
    tiny: DiffusersBackend, make_spec: MakeSpec, stop_at: int
) -> None:
    """No step follows the cancel, and the next image is as if nothing had been."""
    spec = make_spec()
    before = generate_images(tiny, spec)
    reported: list[int] = []

    with pytest.raises(GenerationCancelled):
        generate_images(
            tiny, make_spec(seed=9), on_progress=reported.append, is_cancelled=lambda: len(reported) >= stop_at
        )

    assert len(reported) <= max(stop_at, 1)
    np.testing.assert_array_equal(before, generate_images(tiny, spec))


def test_a_side_past_the_models_table_is_refused(tiny: DiffusersBackend, make_spec: MakeSpec) -> None:
    """What would end in an assert on the device is refused before."""
    with pytest.raises(InvalidInput, match="at most 8192 pixels a side"):
        generate_images(tiny, make_spec(width=8200, height=16, num_inference_steps=1))


def test_what_would_break_inside_is_refused(tiny: DiffusersBackend, make_spec: MakeSpec) -> None:
    """Half a surrogate pair and no steps at all are the request's fault, not the pipeline's."""
    with pytest.raises(InvalidInput, match="broken at character 3"):
        generate_images(tiny, make_spec("a \ud800"))
    with pytest.raises(InvalidInput, match="at least one step"):
        generate_images(tiny, make_spec(num_inference_steps=0))


@pytest.mark.usefixtures("forked_with_torch")
async def test_memory_that_is_not_there_is_out_of_memory(tiny_z_image: str, make_part: MakePart) -> None:
    """An image that the machine cannot hold raises OutOfMemory, and the same process generates a smaller one."""
    engine = EngineProcess(
        model=replace(TINY, backend="tests.support.backends.cramped:Cramped"),
        source=tiny_z_image,
        device="cpu",
        load_timeout=60,
    )
    await engine.start()

    with pytest.raises(OutOfMemory, match="allocate"):
        await engine.generate(make_part(width=4096, height=4096, count=8), lambda done: None)

    assert (await engine.generate(make_part(), lambda done: None)).pixels.shape == (1, 64, 64, 3)
    await engine.stop()


@pytest.mark.usefixtures("forked_with_torch")
async def test_a_checkpoint_through_its_own_process(
    tiny: DiffusersBackend, tiny_z_image: str, make_spec: MakeSpec, make_part: MakePart
) -> None:
    """The engine process generates the same bytes, in parts of any size."""
    engine = EngineProcess(model=TINY, source=tiny_z_image, device="cpu", load_timeout=60)
    info = await engine.start()
    reported: list[int] = []

    generated = await engine.generate(make_part(first=1, count=2, width=100, height=60), reported.append)

    assert ("tiny", "cpu") == (info.model, info.device)
    np.testing.assert_array_equal(
        generate_images(tiny, make_spec(width=100, height=60), first=1, count=2), generated.pixels
    )
    assert [1, 2, 3, 4, 5, 6] == reported
    await engine.stop()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' own, next to numpy 2
@pytest.mark.parametrize("scheduler", ["PNDMScheduler", "HeunDiscreteScheduler"])
def test_another_pipeline_class_generates_from_its_folder(tmp_path: Path, make_spec: MakeSpec, scheduler: str) -> None:
    """A folder is enough: its own class, called with what that class takes, bit for bit as a plain call."""
    make_stable_diffusion(tmp_path, scheduler)
    model = ModelConfig(name="sd", source=str(tmp_path), dtype="float32")
    backend = DiffusersBackend.load(model=model, source=str(tmp_path), device="cpu")
    plain = diffusers.StableDiffusionPipeline.from_pretrained(tmp_path, dtype=torch.float32)
    plain.set_progress_bar_config(disable=True)
    plain.vae.enable_slicing()
    spec = make_spec(guidance_scale=5.0, negative_prompt="text", num_inference_steps=5)
    reported: list[int] = []

    pixels = generate_images(backend, spec, count=2, on_progress=reported.append)

    np.testing.assert_array_equal(call(plain, spec, count=2, negative_prompt=["text"] * 2), pixels)
    assert list(range(1, 8)) == reported
    assert (70, 50) == generate_images(backend, make_spec(width=50, height=70)).shape[1:3]
    used, unguided = used_by(backend, spec), used_by(backend, replace(spec, guidance_scale=1.0))
    assert ("text", None) == (used.negative_prompt, unguided.negative_prompt)
    assert {"PNDMScheduler": None, "HeunDiscreteScheduler": "Heun"}[scheduler] == used.sampler


def test_a_class_that_takes_no_prompt_is_unusable(tmp_path: Path) -> None:
    """A pipeline that cannot be told what to generate is refused when it is loaded."""
    unet = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(tmp_path)

    with pytest.raises(ModelLoadError, match="DDPMPipeline takes no prompt"):
        DiffusersBackend.load(model=ModelConfig(name="x", source=""), source=str(tmp_path), device="cpu")


@pytest.mark.parametrize("device", ["cuda:99", "frob"])
def test_a_device_that_is_not_there_is_named(tiny_z_image: str, device: str) -> None:
    """The message names the device and the setting."""
    with pytest.raises(ModelLoadError, match=f"The device {device} cannot be used.*PIPELET_DEVICE"):
        DiffusersBackend.load(model=TINY, source=tiny_z_image, device=device)
