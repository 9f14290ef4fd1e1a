"""The second pass and image-to-image, on the weights that generate text-to-image."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import GenerationCancelled, InvalidInput, ModelLoadError
from pipelet.domain.generation.image import ImageSpec
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.devices import native_dtype
from tests.engine.calls import MakeSpec, Pixels
from tests.engine.diffusers.calls import assert_alike, generate_images
from tests.engine.diffusers.tiny_models.stable_diffusion import make_stable_diffusion
from tests.engine.diffusers.tiny_models.z_image import TINY

Load = Callable[..., DiffusersBackend]
STEPS = 4
TASKS = (1 + STEPS + 1) + (1 + 2 + 1)
"""Of both passes, at a strength of 0.3."""


@pytest.fixture(scope="module")
def load(tiny_z_image: str) -> Load:
    def loaded(**fields: Any) -> DiffusersBackend:
        model = replace(TINY, **({"native_sizes": ("64x64", "96x64")} | fields))
        return DiffusersBackend.load(model=model, source=tiny_z_image, device="cpu")

    return loaded


@pytest.fixture(scope="module")
def refining(load: Load) -> DiffusersBackend:
    return load(refine_strength=0.3)


@pytest.fixture
def make_large(make_spec: MakeSpec) -> MakeSpec:
    def make(prompt: str = "a red fox", **changes: Any) -> ImageSpec:
        return make_spec(prompt, **({"width": 150, "height": 100, "num_inference_steps": STEPS} | changes))

    return make


def test_the_second_pass_is_image_to_image_over_the_first(
    refining: DiffusersBackend, edits: Any, make_large: MakeSpec
) -> None:
    """The image is, but for rounding, what diffusers' own pipeline makes of the small one, scaled up."""
    spec = make_large(width=192, height=128)

    def expected(seed: int) -> NDArray[np.float64]:
        small = Image.fromarray(generate_images(refining, replace(spec, width=96, height=64, seed=seed))[0])
        scaled = small.resize((192, 128), Image.Resampling.BICUBIC)
        return image_to_image(edits, scaled, spec.prompt, steps=STEPS, strength=0.3).astype(float)

    pixels = generate_images(refining, spec)

    assert np.abs(pixels - expected(7)).mean() < np.abs(pixels - expected(8)).mean() / 3


@pytest.mark.parametrize(("width", "height"), [(150, 100), (192, 128), (101, 333)])
def test_a_refined_image_does_not_depend_on_its_batch(
    refining: DiffusersBackend, make_large: MakeSpec, width: int, height: int
) -> None:
    """Image k alone is image k of the batch, in both passes, at any size."""
    spec = make_large(width=width, height=height)

    whole = generate_images(refining, spec, count=3)

    assert_alike(whole[1:2], generate_images(refining, spec, first=1))
    assert_alike(whole[2:3], generate_images(refining, replace(spec, seed=spec.seed + 2)))


def test_the_prompt_counts_in_the_second_pass(refining: DiffusersBackend, make_large: MakeSpec) -> None:
    """Guidance and negative prompt work in both passes; each changes the image."""
    spec = make_large(guidance_scale=3.0, negative_prompt="text, logo, watermark")

    pixels = generate_images(refining, spec)

    assert (pixels != generate_images(refining, replace(spec, negative_prompt=None))).any()
    assert (pixels != generate_images(refining, replace(spec, guidance_scale=0.0))).any()


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 64), (90, 60), (32, 32)])
def test_what_is_not_scaled_up_is_generated_in_one_pass(
    load: Load, refining: DiffusersBackend, make_spec: MakeSpec, width: int, height: int
) -> None:
    """A model that refines generates its own sizes as one that does not."""
    spec = make_spec(width=width, height=height)

    np.testing.assert_array_equal(generate_images(load(), spec), generate_images(refining, spec))


def test_progress_is_every_task_of_both_passes_once(refining: DiffusersBackend, make_large: MakeSpec) -> None:
    """Encoded, each step, decoded; and that again."""
    reported: list[int] = []

    generate_images(refining, make_large(), count=2, on_progress=reported.append)

    assert list(range(1, TASKS + 1)) == reported


def test_cancelled_in_any_pass_it_stops_and_leaves_no_trace(refining: DiffusersBackend, make_large: MakeSpec) -> None:
    """No step follows the cancel, and the next image is as if nothing had been."""
    before = generate_images(refining, make_large())
    for stop_at in range(TASKS):
        reported: list[int] = []

        with pytest.raises(GenerationCancelled):
            generate_images(
                refining,
                make_large(seed=9),
                on_progress=reported.append,
                is_cancelled=lambda: len(reported) >= stop_at,  # noqa: B023 - called in this turn of the loop
            )

        # A decoded first image is not yet a step of the second pass: the cancel takes effect before that.
        assert len(reported) <= max(stop_at, 1) + 1, stop_at
        np.testing.assert_array_equal(before, generate_images(refining, make_large()), f"cancelled at task {stop_at}")


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_something_of_the_first_image_is_always_left(
    load: Load, refining: DiffusersBackend, make_large: MakeSpec, steps: int
) -> None:
    """However few steps there are: of another first image, the second pass makes another image."""
    spec = make_large(num_inference_steps=steps)
    square = load(refine_strength=0.3, native_sizes=("64x64",))

    assert np.abs(generate_images(refining, spec) - generate_images(square, spec).astype(float)).mean() > 1


def test_a_side_past_the_models_table_is_refused_before_anything_is_generated(
    refining: DiffusersBackend, make_large: MakeSpec
) -> None:
    """The second pass meets the same limits as the first."""
    reported: list[int] = []

    with pytest.raises(InvalidInput, match="at most 8192 pixels a side"):
        generate_images(refining, make_large(width=8200, height=64), on_progress=reported.append)

    assert [] == reported


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' own, next to numpy 2
def test_another_pipeline_class_refines_with_its_own_sibling(tmp_path: Path, make_large: MakeSpec) -> None:
    """Whatever diffusers pairs with the class generates the second pass, with what it takes."""
    make_stable_diffusion(tmp_path, "PNDMScheduler")
    model = ModelConfig(
        name="sd", source=str(tmp_path), dtype="float32", native_sizes=("96x64",), size_multiple=32, refine_strength=0.3
    )
    backend = DiffusersBackend.load(model=model, source=str(tmp_path), device="cpu")
    reported: list[int] = []

    pixels = generate_images(backend, make_large(guidance_scale=5.0), count=2, on_progress=reported.append)

    assert list(range(1, TASKS + 1)) == reported
    alone = generate_images(backend, make_large(guidance_scale=5.0), first=1)
    np.testing.assert_allclose(pixels[1:2], alone, rtol=0, atol=1)  # float32 sums in another order


def test_a_class_without_image_to_image_is_unusable(tmp_path: Path) -> None:
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


def image_to_image(
    pipe: Any, start: Image.Image, prompt: str, *, count: int = 1, steps: int = 8, strength: float = 0.5
) -> Pixels:
    """What a later image-edit app would call: one start image for all, one generator for each."""
    return np.stack(
        [
            np.asarray(image)
            for image in pipe(
                prompt=[prompt] * count,
                image=[start] * count,
                strength=strength,
                num_inference_steps=steps,
                guidance_scale=0.0,
                generator=[torch.Generator("cpu").manual_seed(7 + k) for k in range(count)],
            ).images
        ]
    )


@pytest.fixture(scope="module")
def edits(tiny_z_image: str) -> Any:
    """Image-to-image on the weights that generate text-to-image."""
    generating = diffusers.ZImagePipeline.from_pretrained(tiny_z_image, dtype=native_dtype(torch.device("cpu")))
    generating.vae.enable_slicing()
    # Unless told the dtype, it casts the weights to float32, and they are shared.
    pipe = diffusers.ZImageImg2ImgPipeline.from_pipe(generating, dtype=native_dtype(torch.device("cpu")))
    pipe.set_progress_bar_config(disable=True)
    assert pipe.transformer is generating.transformer
    return pipe


def test_the_weights_serve_image_to_image(edits: Any, refining: DiffusersBackend, make_spec: MakeSpec) -> None:
    """The result has the start image's size, and depends on that image, on the prompt and on the seed."""
    start, other = (
        Image.fromarray(generate_images(refining, make_spec(width=96, height=64, seed=seed))[0]) for seed in (1, 2)
    )

    two = image_to_image(edits, start, "a lake", count=2)

    assert (2, 64, 96, 3) == two.shape
    assert_alike(two[:1], image_to_image(edits, start, "a lake"))
    assert (two[0] != two[1]).any()
    assert (two[:1] != image_to_image(edits, other, "a lake")).any()
    assert (two[:1] != image_to_image(edits, start, "a red fox in the snow")).any()


def test_all_of_the_strength_leaves_nothing_of_the_start_image(
    edits: Any, refining: DiffusersBackend, make_spec: MakeSpec
) -> None:
    """At 1 the start image does not matter; below, it does."""
    start, other = (
        Image.fromarray(generate_images(refining, make_spec(width=96, height=64, seed=seed))[0]) for seed in (1, 2)
    )

    for strength, matters in [(1.0, False), (0.8, True)]:
        images = [image_to_image(edits, start, "a lake", strength=strength) for start in (start, other)]
        assert matters == (images[0] != images[1]).any()
