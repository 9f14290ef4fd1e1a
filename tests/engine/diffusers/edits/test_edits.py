"""The four pipelines that generate edits, of their real classes at a tiny size, in this process."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipelet.domain.errors import GenerationCancelled, InvalidInput
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.jobs.progress import TASKS_WITHOUT_STEPS, WRITE_FILES, tasks_per_job
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.engine_process import EngineProcess
from tests.engine.calls import MakePart, MakeSpec
from tests.engine.diffusers.calls import assert_alike, generate_images, used_by
from tests.engine.diffusers.edits.models import FIRST, MODELS, SECOND, STEPS, THIRD, Edits, EditsOf, noise_image
from tests.engine.diffusers.tiny_models.z_image import TINY


def test_an_edit_is_what_a_plain_call_generates(edits: Edits, make_edit: MakeSpec) -> None:
    """Bit for bit, for each image of a batch."""
    spec = make_edit(FIRST)

    np.testing.assert_array_equal(
        edits.call(spec, [FIRST], count=2), generate_images(edits.backend, spec, count=2, input_images=[FIRST])
    )


def test_several_input_images_are_what_a_plain_call_generates(several: Edits, make_edit: MakeSpec) -> None:
    """Bit for bit, with two and three images of different shapes."""
    for images in [(FIRST, SECOND), (THIRD, FIRST, SECOND)]:
        spec = make_edit(*images)

        np.testing.assert_array_equal(
            several.call(spec, images), generate_images(several.backend, spec, input_images=list(images))
        )


def test_their_order_is_all_that_names_them(several: Edits, make_edit: MakeSpec) -> None:
    """Swapped, the first image is another one: the image changes visibly. In the same order it is the same."""
    spec = make_edit(FIRST, SECOND)

    one, again, swapped = (
        generate_images(several.backend, spec, input_images=images)
        for images in ([FIRST, SECOND], [FIRST, SECOND], [SECOND, FIRST])
    )

    np.testing.assert_array_equal(one, again)
    assert np.abs(one.astype(float) - swapped).mean() > 1


def test_each_input_image_and_the_prompt_matter(edits: Edits, make_edit: MakeSpec) -> None:
    """Another image, another prompt and another seed each generate something else."""
    spec = make_edit(FIRST)
    one = generate_images(edits.backend, spec, input_images=[FIRST])

    assert (one != generate_images(edits.backend, spec, input_images=[noise_image(96, 64)])).any()
    assert (one != generate_images(edits.backend, make_edit(FIRST, prompt="a lake"), input_images=[FIRST])).any()
    assert (one != generate_images(edits.backend, replace(spec, seed=8), input_images=[FIRST])).any()


def test_an_image_does_not_depend_on_its_batch(edits: Edits, make_edit: MakeSpec) -> None:
    """Image k alone is image k of the batch, in all four."""
    spec = make_edit(FIRST)
    whole = generate_images(edits.backend, spec, count=3, input_images=[FIRST])

    assert_alike(whole[1:2], generate_images(edits.backend, spec, first=1, input_images=[FIRST]))
    assert_alike(whole[2:3], generate_images(edits.backend, replace(spec, seed=9), input_images=[FIRST]))


@pytest.mark.parametrize(("width", "height"), [(70, 65), (127, 81)])
def test_every_size_is_honoured(several: Edits, make_edit: MakeSpec, width: int, height: int) -> None:
    """Whatever the sizes of the input images: cut from the middle of the next size that the model generates."""
    spec = make_edit(SECOND, width=width, height=height)
    wide, high = -(-width // 16) * 16, -(-height // 16) * 16

    whole = several.call(spec, [SECOND], width=wide, height=high)

    left, top = (wide - width) // 2, (high - height) // 2
    cut = whole[:, top : top + height, left : left + width]
    np.testing.assert_array_equal(cut, generate_images(several.backend, spec, input_images=[SECOND]))


def test_a_start_image_of_another_size_is_fitted_first(edits_of: EditsOf, make_edit: MakeSpec) -> None:
    """An image of any shape starts a generation of any size: scaled to cover it, cropped, and where the model generates
    a larger size, continued by its own edges, which are cut off again."""
    edits = edits_of("img2img")
    large = np.asarray(Image.fromarray(FIRST).resize((288, 192), Image.Resampling.NEAREST))
    spec = make_edit(large, width=70, height=40)
    edge = (192 - 288 * 40 / 70) / 2
    box = (0, edge, 288, 192 - edge)
    prepare = np.asarray(Image.fromarray(large).resize((70, 40), Image.Resampling.LANCZOS, box=box))
    filled = np.pad(prepare, ((4, 4), (5, 5), (0, 0)), mode="symmetric")

    whole = edits.call(spec, [filled], width=80, height=48)

    pixels = generate_images(edits.backend, spec, input_images=[large])
    assert np.abs(whole[:, 4:44, 5:75].astype(float) - pixels).mean() < 2
    np.testing.assert_array_equal(
        edits.call(spec, [filled], width=80, height=48)[:, 4:44, 5:75],
        generate_images(edits.backend, spec, input_images=[prepare]),
    )


def test_strength_is_how_much_is_generated_again(edits_of: EditsOf, make_edit: MakeSpec) -> None:
    """Of all of it nothing of the start image is left; the model's own strength counts where the request has none."""
    backend = edits_of("img2img").backend
    other = noise_image(96, 64)

    def generated(input_image, strength):
        return generate_images(backend, make_edit(FIRST, strength=strength), input_images=[input_image])

    np.testing.assert_array_equal(generated(FIRST, 1.0), generated(other, 1.0))
    assert (generated(FIRST, 0.6) != generated(other, 0.6)).any()
    np.testing.assert_array_equal(generated(FIRST, None), generated(FIRST, 0.6))
    assert generated(FIRST, 0.0).any()


def test_progress_is_every_task_once(edits: Edits, make_edit: MakeSpec) -> None:
    """Prompt, images, each step that is taken, decoding: what the worker counts with."""
    for steps, strength in [(1, None), (8, None), (8, 0.3)]:
        spec = make_edit(FIRST, num_inference_steps=steps, strength=strength)
        reported: list[int] = []

        generate_images(edits.backend, spec, count=2, input_images=[FIRST], on_progress=reported.append)

        of_files = TASKS_WITHOUT_STEPS - 2 * WRITE_FILES
        assert list(range(1, tasks_per_job(plan_generation(spec, MODELS[edits.name]), 1) - of_files + 1)) == reported


def test_an_edit_that_is_cancelled_at_any_task_stops_at_once_and_leaves_no_trace(
    edits: Edits, make_edit: MakeSpec
) -> None:
    """No step follows the cancel, not even images are encoded, and the next edit is as if nothing had been."""
    spec = make_edit(FIRST)
    before = generate_images(edits.backend, spec, input_images=[FIRST])
    for stop_at in range(STEPS + 2):
        reported: list[int] = []

        with pytest.raises(GenerationCancelled):
            generate_images(
                edits.backend,
                replace(spec, seed=9),
                input_images=[FIRST],
                on_progress=reported.append,
                is_cancelled=lambda: len(reported) >= stop_at,  # noqa: B023 - called in this turn of the loop
            )

        assert len(reported) <= max(stop_at, 1), stop_at
        after = generate_images(edits.backend, spec, input_images=[FIRST])
        np.testing.assert_array_equal(before, after, f"cancelled at task {stop_at}")


def test_guidance_reaches_an_edit_by_whatever_name(edits_of: EditsOf, make_edit: MakeSpec) -> None:
    """Qwen-Image calls it otherwise, and guides only away from something: from nothing at all by default."""
    edits = edits_of("qwen")
    spec = make_edit(FIRST, guidance_scale=3.0)
    guided = generate_images(edits.backend, spec, input_images=[FIRST])
    away = generate_images(edits.backend, replace(spec, negative_prompt="text, logo"), input_images=[FIRST])

    np.testing.assert_array_equal(edits.call(spec, [FIRST], true_cfg_scale=3.0, negative_prompt=" "), guided)
    np.testing.assert_array_equal(edits.call(spec, [FIRST], true_cfg_scale=3.0, negative_prompt="text, logo"), away)
    assert (guided != away).any()
    assert (guided != generate_images(edits.backend, replace(spec, guidance_scale=0.0), input_images=[FIRST])).any()
    told = [
        used_by(edits.backend, replace(spec, negative_prompt="text", guidance_scale=g), [FIRST]) for g in (1.0, 3.0)
    ]
    assert [None, "text"] == [used.negative_prompt for used in told]


@pytest.mark.parametrize("name", ["img2img", "omni"])
def test_negative_prompts_reach_an_edit(edits_of: EditsOf, make_edit: MakeSpec, name: str) -> None:
    """Where there is guidance; as the pipeline itself takes them."""
    edits = edits_of(name)
    spec = make_edit(FIRST, guidance_scale=3.0, negative_prompt="text, logo, watermark")

    pixels = generate_images(edits.backend, spec, input_images=[FIRST])

    np.testing.assert_array_equal(edits.call(spec, [FIRST], negative_prompt=[spec.negative_prompt]), pixels)
    assert (pixels != generate_images(edits.backend, replace(spec, negative_prompt=None), input_images=[FIRST])).any()


def test_text_alone_is_still_generated_by_models_that_edit(edits_of: EditsOf, make_spec: MakeSpec) -> None:
    """As without the entry's edits, bit for bit; but for those that generate edits only."""
    plain = DiffusersBackend.load(model=TINY, source=edits_of("img2img").folder, device="cpu")

    np.testing.assert_array_equal(
        generate_images(plain, make_spec()), generate_images(edits_of("img2img").backend, make_spec())
    )
    for name in ("omni", "klein"):
        assert generate_images(edits_of(name).backend, make_spec()).any()
    with pytest.raises(InvalidInput, match="only edits"):
        generate_images(edits_of("qwen").backend, make_spec())
    with pytest.raises(InvalidInput, match="does not edit"):
        generate_images(plain, make_spec(), input_images=[FIRST])


@pytest.mark.usefixtures("forked_with_torch")
async def test_an_edit_through_its_own_process(edits_of: EditsOf, make_edit: MakeSpec, make_part: MakePart) -> None:
    """The same bytes, with images that travelled through shared memory."""
    edits = edits_of("omni")
    engine = EngineProcess(model=MODELS["omni"], source=edits.folder, device="cpu", load_timeout=60)
    await engine.start()
    spec = make_edit(FIRST, SECOND)
    reported: list[int] = []
    part = replace(make_part(count=2, input_images=[FIRST, SECOND]), spec=spec)

    generated = await engine.generate(part, reported.append)

    np.testing.assert_array_equal(
        generate_images(edits.backend, spec, count=2, input_images=[FIRST, SECOND]), generated.pixels
    )
    assert list(range(1, STEPS + 4)) == reported
    await engine.stop()
