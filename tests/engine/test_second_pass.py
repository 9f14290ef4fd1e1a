"""The second pass and image-to-image, on the weights that draw text-to-image."""

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from tests.engine.test_diffusers import assert_alike, paint
from tests.engine.tiny_stable_diffusion import make_stable_diffusion
from tests.engine.tiny_z_image import TINY

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import GenerationCancelled, InvalidInput, ModelLoadError
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.devices import native_dtype

STEPS = 4
TASKS = (1 + STEPS + 1) + (1 + 2 + 1)
"""Of both passes, at a strength of 0.3."""


@pytest.fixture(scope="module")
def load(tiny_z_image):
    def loaded(**fields):
        model = replace(TINY, **({"native_sizes": ("64x64", "96x64")} | fields))
        return DiffusersBackend.load(model=model, source=tiny_z_image, device="cpu")

    return loaded


@pytest.fixture(scope="module")
def refining(load):
    return load(refine_strength=0.3)


@pytest.fixture
def make_large(make_spec):
    def make(prompt="a red fox", **changes):
        return make_spec(prompt, **({"width": 150, "height": 100, "num_inference_steps": STEPS} | changes))

    return make


def test_the_second_pass_is_image_to_image_over_the_first(refining, edits, make_large):
    """The picture is, but for rounding, what diffusers' own pipeline makes of the small one, scaled up."""
    spec = make_large(width=192, height=128)

    def expected(seed):
        small = Image.fromarray(paint(refining, replace(spec, width=96, height=64, seed=seed))[0])
        scaled = small.resize((192, 128), Image.Resampling.BICUBIC)
        return image_to_image(edits, scaled, spec.prompt, steps=STEPS, strength=0.3).astype(float)

    pixels = paint(refining, spec)

    assert np.abs(pixels - expected(7)).mean() < np.abs(pixels - expected(8)).mean() / 3


@pytest.mark.parametrize(("width", "height"), [(150, 100), (192, 128), (101, 333)])
def test_a_refined_picture_does_not_depend_on_its_batch(refining, make_large, width, height):
    """Image k alone is image k of the batch, in both passes, at any size."""
    spec = make_large(width=width, height=height)

    whole = paint(refining, spec, count=3)

    assert_alike(whole[1:2], paint(refining, spec, first=1))
    assert_alike(whole[2:3], paint(refining, replace(spec, seed=spec.seed + 2)))


def test_the_prompt_is_heard_in_the_second_pass(refining, make_large):
    """Guidance and negative prompt work in both passes; each changes the picture."""
    spec = make_large(guidance_scale=3.0, negative_prompt="text, logo, watermark")

    pixels = paint(refining, spec)

    assert (pixels != paint(refining, replace(spec, negative_prompt=None))).any()
    assert (pixels != paint(refining, replace(spec, guidance_scale=0.0))).any()


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 64), (90, 60), (32, 32)])
def test_what_is_not_scaled_up_is_drawn_in_one_pass(load, refining, make_spec, width, height):
    """A model that refines draws its own sizes as one that does not."""
    spec = make_spec(width=width, height=height)

    np.testing.assert_array_equal(paint(load(), spec), paint(refining, spec))


def test_progress_is_every_task_of_both_passes_once(refining, make_large):
    """Encoded, each step, decoded; and that again."""
    heard = []

    paint(refining, make_large(), count=2, on_progress=heard.append)

    assert list(range(1, TASKS + 1)) == heard


@pytest.mark.parametrize("stop_at", range(TASKS))
def test_cancelled_in_any_pass_it_stops_and_leaves_no_trace(refining, make_large, stop_at):
    """No step follows the cancel, and the next picture is as if nothing had been."""
    before = paint(refining, make_large())
    heard = []

    with pytest.raises(GenerationCancelled):
        paint(refining, make_large(seed=9), on_progress=heard.append, is_cancelled=lambda: len(heard) >= stop_at)

    # A decoded first picture is not yet a step of the second pass: the cancel is heard before that.
    assert len(heard) <= max(stop_at, 1) + 1
    np.testing.assert_array_equal(before, paint(refining, make_large()))


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_something_of_the_first_picture_is_always_left(load, refining, make_large, steps):
    """However few steps there are: of another first picture, the second pass makes another picture."""
    spec = make_large(num_inference_steps=steps)
    square = load(refine_strength=0.3, native_sizes=("64x64",))

    assert np.abs(paint(refining, spec) - paint(square, spec).astype(float)).mean() > 1


def test_a_side_past_the_models_table_is_refused_before_anything_is_drawn(refining, make_large):
    """The second pass meets the same limits as the first."""
    heard = []

    with pytest.raises(InvalidInput, match="at most 8192 pixels a side"):
        paint(refining, make_large(width=8200, height=64), on_progress=heard.append)

    assert [] == heard


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' own, beside numpy 2
def test_another_pipeline_class_refines_with_its_own_sibling(tmp_path, make_large):
    """Whatever diffusers pairs with the class draws the second pass, with what it takes."""
    make_stable_diffusion(tmp_path, "PNDMScheduler")
    model = ModelConfig(
        name="sd", source=str(tmp_path), dtype="float32", native_sizes=("96x64",), size_multiple=32, refine_strength=0.3
    )
    backend = DiffusersBackend.load(model=model, source=str(tmp_path), device="cpu")
    heard = []

    pixels = paint(backend, make_large(guidance_scale=5.0), count=2, on_progress=heard.append)

    assert list(range(1, TASKS + 1)) == heard
    alone = paint(backend, make_large(guidance_scale=5.0), first=1)
    np.testing.assert_allclose(pixels[1:2], alone, rtol=0, atol=1)  # float32 sums in another order


def test_a_class_without_image_to_image_is_unusable(tmp_path):
    """What cannot be done is said when the model is loaded, with the field to take out."""
    make_stable_diffusion(tmp_path, "PNDMScheduler")
    model = ModelConfig(
        name="sd",
        source=str(tmp_path),
        pipeline="StableDiffusionPanoramaPipeline",
        native_sizes=("64x64",),
        refine_strength=0.3,
    )

    with pytest.raises(ModelLoadError, match=r"no StableDiffusionPanoramaImg2ImgPipeline.*refine_strength"):
        DiffusersBackend.load(model=model, source=str(tmp_path), device="cpu")


def image_to_image(pipe, picture, prompt, *, count=1, steps=8, strength=0.5):
    """What a later image-edit app would call: one start picture for all, one generator for each."""
    return np.stack(
        [
            np.asarray(image)
            for image in pipe(
                prompt=[prompt] * count,
                image=[picture] * count,
                strength=strength,
                num_inference_steps=steps,
                guidance_scale=0.0,
                generator=[torch.Generator("cpu").manual_seed(7 + k) for k in range(count)],
            ).images
        ]
    )


@pytest.fixture(scope="module")
def edits(tiny_z_image):
    """Image-to-image on the weights that draw text-to-image."""
    drawing = diffusers.ZImagePipeline.from_pretrained(tiny_z_image, dtype=native_dtype(torch.device("cpu")))
    drawing.vae.enable_slicing()
    # Unless told the dtype, it casts the weights to float32, and they are shared.
    pipe = diffusers.ZImageImg2ImgPipeline.from_pipe(drawing, dtype=native_dtype(torch.device("cpu")))
    pipe.set_progress_bar_config(disable=True)
    assert pipe.transformer is drawing.transformer
    return pipe


def test_the_weights_serve_image_to_image(edits, refining, make_spec):
    """The result has the start picture's size, and depends on that picture, on the prompt and on the seed."""
    start, other = (Image.fromarray(paint(refining, make_spec(width=96, height=64, seed=seed))[0]) for seed in (1, 2))

    two = image_to_image(edits, start, "a lake", count=2)

    assert (2, 64, 96, 3) == two.shape
    assert_alike(two[:1], image_to_image(edits, start, "a lake"))
    assert (two[0] != two[1]).any()
    assert (two[:1] != image_to_image(edits, other, "a lake")).any()
    assert (two[:1] != image_to_image(edits, start, "a red fox in the snow")).any()


def test_all_of_the_strength_leaves_nothing_of_the_start_picture(edits, refining, make_spec):
    """At 1 the start picture does not matter; below, it does."""
    start, other = (Image.fromarray(paint(refining, make_spec(width=96, height=64, seed=seed))[0]) for seed in (1, 2))

    for strength, matters in [(1.0, False), (0.8, True)]:
        pictures = [image_to_image(edits, picture, "a lake", strength=strength) for picture in (start, other)]
        assert matters == (pictures[0] != pictures[1]).any()
