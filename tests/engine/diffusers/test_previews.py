"""Previews of real pipelines: what they look like, and that they change nothing."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import ModelLoadError
from pipelet.domain.generation.image import ImageSpec, InputImage
from pipelet.engine.diffusers import previews
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.previews import LinearMap, estimate_final
from tests.engine.calls import MakeSpec, Pixels
from tests.engine.diffusers.calls import generate_images
from tests.engine.diffusers.test_demo_model import DEMO, ENTRY
from tests.engine.diffusers.tiny_models.others import make_checked
from tests.engine.diffusers.tiny_models.stable_diffusion import make_stable_diffusion
from tests.engine.diffusers.tiny_models.z_image import TINY

# diffusers' own, next to numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@dataclass
class Shown:
    """Takes a preview after every step."""

    is_due: bool = True
    steps: list[tuple[int, int]] = field(default_factory=list)
    """Index and step of each."""
    images: list[Pixels] = field(default_factory=list)

    def show(self, pixels: Pixels, *, index: int, step: int) -> None:
        self.steps.append((index, step))
        self.images.append(pixels.copy())


@pytest.fixture(scope="module")
def demo() -> DiffusersBackend:
    return DiffusersBackend.load(model=ENTRY, source=str(DEMO), device="cpu")


@pytest.fixture
def make_image(make_spec: MakeSpec) -> Callable[..., ImageSpec]:
    sides = {"width": 256, "height": 256, "num_inference_steps": 8, "guidance_scale": 1.5}
    return lambda **changes: make_spec("a red apple on a light blue background", **sides | changes)


def watched(
    backend: DiffusersBackend, spec: ImageSpec, shown: Shown | None = None, **options: Any
) -> tuple[Pixels, Shown]:
    shown = shown or Shown()
    return generate_images(backend, spec, previews=shown, **options), shown


def error_of(preview: Pixels, image: Pixels) -> float:
    """Mean difference to the image at the preview's size, from 0 to 1."""
    height, width = preview.shape[:2]
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
    return float(np.abs(np.asarray(small).astype(float) - preview).mean() / 255)


def test_previews_approach_the_image_and_do_not_change_it(
    demo: DiffusersBackend, make_image: Callable[..., ImageSpec]
) -> None:
    """From the second step to the last but one, each is nearer to the image than a grey one; the image is bit for bit
    that of a generation without."""
    plain = generate_images(demo, make_image())

    image, shown = watched(demo, make_image())

    np.testing.assert_array_equal(plain, image)
    assert [(0, step) for step in range(2, 8)] == shown.steps
    errors = [error_of(each, image[0]) for each in shown.images]
    assert errors[-1] < 0.06
    assert errors[0] < 0.15
    assert errors[-1] < errors[0]
    assert {(32, 32, 3)} == {each.shape for each in shown.images}


def test_a_batch_shows_its_images_in_turn(demo: DiffusersBackend, make_image: Callable[..., ImageSpec]) -> None:
    """Each under its number in the request."""
    images, shown = watched(demo, make_image(width=320), first=4, count=3)

    assert [(4, 2), (5, 3), (6, 4), (4, 5), (5, 6), (6, 7)] == shown.steps
    for (index, _), preview in list(zip(shown.steps, shown.images, strict=True))[3:]:
        errors = [error_of(preview, image) for image in images]
        assert index - 4 == errors.index(min(errors))
    assert {(32, 40, 3)} == {each.shape for each in shown.images}


def test_an_edit_has_previews(demo: DiffusersBackend, make_image: Callable[..., ImageSpec]) -> None:
    """Of the steps that it runs."""
    start = np.full((256, 256, 3), (160, 210, 245), np.uint8)
    spec = make_image(strength=0.8, input_images=(InputImage(key="a", width=256, height=256),))

    image, shown = watched(demo, spec, input_images=[start])

    assert [step for _, step in shown.steps] == list(range(2, 7))
    assert error_of(shown.images[-1], image[0]) < 0.08


def test_no_preview_is_made_while_none_is_due(demo: DiffusersBackend, make_image: Callable[..., ImageSpec]) -> None:
    """Without a watcher nothing is computed."""
    assert [] == watched(demo, make_image(num_inference_steps=3), Shown(is_due=False))[1].steps


def test_a_second_pass_counts_its_steps_on(tiny_z_image: str, make_spec: MakeSpec) -> None:
    """Previews of the larger image follow those of the small one."""
    rows = ((0.1, 0.1, 0.1),) * 17
    model = replace(TINY, native_sizes=("64x64",), refine_strength=0.5, preview_map=rows)
    backend = DiffusersBackend.load(model=model, source=tiny_z_image, device="cpu")

    _, shown = watched(backend, make_spec(width=128, height=128, num_inference_steps=6))

    assert [step for _, step in shown.steps] == [2, 3, 4, 5, 8]
    assert [(8, 8, 3)] * 4 + [(16, 16, 3)] == [each.shape for each in shown.images]


def test_a_decoder_makes_sharper_previews(make_image: Callable[..., ImageSpec]) -> None:
    """The demo model's own autoencoder is one: at the last step its preview is nearly the image."""
    model = replace(ENTRY, preview_decoder=str(DEMO / "vae"))
    backend = DiffusersBackend.load(model=model, source=str(DEMO), device="cpu")

    image, shown = watched(backend, make_image())

    assert (256, 256, 3) == shown.images[-1].shape
    assert error_of(shown.images[-1], image[0]) < 0.03


def test_a_preview_that_fails_fails_no_image(demo: DiffusersBackend, make_image: Callable[..., ImageSpec]) -> None:
    """The image is the same as without previews, and no further preview is tried."""

    class Full(Shown):
        def show(self, pixels: Pixels, *, index: int, step: int) -> None:
            super().show(pixels, index=index, step=step)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spec = make_image(num_inference_steps=4)

    image, shown = watched(demo, spec, Full())

    np.testing.assert_array_equal(generate_images(demo, spec), image)
    assert [(0, 2)] == shown.steps


@pytest.mark.parametrize(
    ("scheduler", "has_previews"),
    [("EulerDiscreteScheduler", True), ("PNDMScheduler", False), ("HeunDiscreteScheduler", False)],
)
def test_samplers_that_are_not_straight_have_none(
    tmp_path: Path, make_spec: MakeSpec, scheduler: str, has_previews: bool
) -> None:
    """Euler has, also where it predicts noise; the others generate as always."""
    make_stable_diffusion(tmp_path, scheduler)
    model = ModelConfig(name="sd", source=str(tmp_path), dtype="float32", preview_map=((0.2, 0.2, 0.2),) * 5)
    backend = DiffusersBackend.load(model=model, source=str(tmp_path), device="cpu")

    _, shown = watched(backend, make_spec(num_inference_steps=5))

    assert has_previews is bool(shown.steps)


def test_what_a_safety_checker_looks_at_has_none(tmp_path: Path, make_spec: MakeSpec) -> None:
    """A preview would show what the checker blacks out."""
    make_checked(tmp_path)
    model = ModelConfig(name="sd", source=str(tmp_path), dtype="float32", preview_map=((0.2, 0.2, 0.2),) * 5)
    backend = DiffusersBackend.load(model=model, source=str(tmp_path), device="cpu")

    assert [] == watched(backend, make_spec(num_inference_steps=5))[1].steps


@pytest.mark.parametrize("kind", ["FlowMatchEulerDiscreteScheduler", "EulerDiscreteScheduler"])
def test_the_estimate_is_what_the_step_aims_at(kind: str) -> None:
    """Where the model always predicts the same final latents, the estimate is these, at every step."""
    scheduler = getattr(diffusers, kind)()
    scheduler.set_timesteps(6)
    final, noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    flows = kind.startswith("Flow")
    sigma = scheduler.sigmas[0]
    latents = (1 - sigma) * final + sigma * noise if flows else final + sigma * noise
    estimates = []
    for timestep in scheduler.timesteps[:-1]:
        sigma = scheduler.sigmas[scheduler.step_index or 0]
        scheduler.scale_model_input(latents, timestep) if not flows else None
        before, latents = latents, scheduler.step((latents - final) / sigma, timestep, latents).prev_sample
        estimates.append(estimate_final(scheduler, before, latents))

    for each in estimates:
        assert each is not None
        torch.testing.assert_close(each.double(), final, atol=2e-3, rtol=0)


def packed(latents: torch.Tensor) -> torch.Tensor:
    """As diffusers' FLUX pipelines have latents, of the shape (1, channels, height, width)."""
    count, channels, height, width = latents.shape
    return diffusers.FluxPipeline._pack_latents(latents, count, channels, height, width)


def test_packed_latents_are_shown_in_their_place() -> None:
    """FLUX and Qwen-Image pack 2 x 2 latents into a token; an order that is not known has no preview."""
    latents = torch.randn(1, 16, 12, 20)

    found = previews._unpacked(packed(latents)[0], 160, 96, 16)

    assert found is not None
    torch.testing.assert_close(found, latents[0])
    assert previews._unpacked(packed(latents)[0], 160, 96, 4) is None
    assert previews._unpacked(latents[0], 160, 96, 4) is None


@pytest.mark.parametrize(("pixels", "shown"), [(1, (250, 156)), (2, (256, 160))])
def test_previews_have_at_most_256_pixels_a_side(pixels: int, shown: tuple[int, int]) -> None:
    """Large images have more latents than that; a latent may become several pixels, in their order."""
    rows = [[0.0] * 3 * pixels**2 for _ in range(5)]
    rows[0][0] = 1.0  # the first channel is the red of the first pixel

    image = LinearMap(tuple(map(tuple, rows)), torch.device("cpu"))(torch.ones(4, 156, 250))

    assert (3, *shown[::-1]) == tuple(image.shape)
    assert image[0, ::pixels, ::pixels].min() > 0.99
    assert image.sum() == pytest.approx(image[0, ::pixels, ::pixels].sum().item())


@pytest.fixture
def refused(tiny_z_image: str) -> Callable[..., str]:
    def load(**fields: Any) -> str:
        with pytest.raises(ModelLoadError) as error:
            DiffusersBackend.load(model=replace(TINY, **fields), source=tiny_z_image, device="cpu")
        return str(error.value)

    return load


def test_what_fits_another_model_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    """A map for other latents, and a decoder that is not there, are named before the first request."""
    assert "preview_map" in refused(preview_map=((0.1, 0.1, 0.1),) * 5)
    assert "latents of 32 channels" in refused(preview_decoder=str(DEMO / "vae"))
    assert "cannot be loaded" in refused(preview_decoder=str(tmp_path))
