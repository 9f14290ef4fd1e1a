"""The four pipelines that draw edits, of their real classes at a tiny size, in this process."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as qwen
from PIL import Image
from tests.engine.test_diffusers import assert_alike, paint
from tests.engine.tiny_edits import make_klein, make_omni, make_qwen_edit
from tests.engine.tiny_z_image import TINY
from tests.engine.used import used_by

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import GenerationCancelled, InvalidInput, ModelLoadError
from pipelet.domain.generation.image import InputImage
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.jobs.progress import TASKS_WITHOUT_STEPS, WRITE_FILES, tasks_per_job
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.devices import dtype_of
from pipelet.engine.diffusers.loading.processors import without_torchvision
from pipelet.engine.process import EngineProcess

MODELS = {
    "img2img": replace(TINY, edit_pipeline="ZImageImg2ImgPipeline", max_input_images=1, strength=0.6),
    "omni": replace(TINY, pipeline="ZImageOmniPipeline", max_input_images=8),
    "klein": ModelConfig(name="k", source="", pipeline="Flux2KleinPipeline", max_input_images=8, max_prompt_tokens=512),
    "qwen": ModelConfig(
        name="q",
        source="",
        pipeline="QwenImageEditPlusPipeline",
        max_input_images=3,
        requires_input_image=True,
        max_prompt_tokens=1024,
    ),
}
SEVERAL = ["omni", "klein", "qwen"]
STEPS = 3
_random = np.random.default_rng(0)


def picture(width: int, height: int) -> np.ndarray:
    """Large patches of noise: small enough to make, and unlike every other."""
    small = _random.integers(0, 256, (height // 16 or 1, width // 16 or 1, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST))


FIRST, SECOND, THIRD = picture(96, 64), picture(64, 96), picture(64, 64)


@dataclass(frozen=True)
class Edits:
    """A model that edits, and the same pipeline as anybody would call it."""

    name: str
    folder: str
    backend: DiffusersBackend
    plain: Any

    def call(self, spec, input_images, *, count=1, width=None, height=None, **more):
        """What a plain call draws, through PIL."""
        several = {"prompt": [spec.prompt] * count, "image": [Image.fromarray(each) for each in input_images]}
        if self.name == "qwen":
            several |= {"prompt": spec.prompt, "num_images_per_prompt": count}
        if self.name == "img2img":
            several |= {"image": [Image.fromarray(input_images[0])] * count, "strength": spec.strength or 0.6}
        if self.name != "qwen":
            several |= {"guidance_scale": spec.guidance_scale}
        images = self.plain(
            width=width or spec.width,
            height=height or spec.height,
            num_inference_steps=spec.num_inference_steps,
            generator=[torch.Generator("cpu").manual_seed(spec.seed + k) for k in range(count)],
            **several,
            **more,
        ).images
        return np.stack([np.asarray(image) for image in images])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_z_image) -> Callable[[str], str]:
    made = {"img2img": tiny_z_image}

    def of(name: str) -> str:
        if name not in made:
            made[name] = str(tmp_path_factory.mktemp(name))
            makers = {"omni": make_omni, "klein": make_klein, "qwen": make_qwen_edit}
            makers[name](tmp_path_factory.getbasetemp() / made[name])
        return made[name]

    return of


@pytest.fixture(scope="module")
def edits_of(folder):
    """By name of `MODELS`, loaded once."""
    loaded: dict[str, Edits] = {}

    def of(name: str) -> Edits:
        if name not in loaded:
            where, model = folder(name), MODELS[name]
            backend = DiffusersBackend.load(model=model, source=where, device="cpu")
            kind = getattr(diffusers, model.edit_pipeline or model.pipeline)
            dtype = dtype_of(model, kind.__name__, torch.device("cpu"))
            plain = kind.from_pretrained(where, dtype=dtype, **without_torchvision(kind, where))
            plain.set_progress_bar_config(disable=True)
            plain.vae.enable_slicing()
            loaded[name] = Edits(name, where, backend, plain)
        return loaded[name]

    # It shows the model every picture at a megapixel, which takes a second or more even of a tiny one.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(qwen, "VAE_IMAGE_SIZE", 64 * 64)
        patched.setattr(qwen, "CONDITION_IMAGE_SIZE", 56 * 56)
        yield of


@pytest.fixture(params=list(MODELS))
def edits(request, edits_of) -> Edits:
    return edits_of(request.param)


@pytest.fixture(params=SEVERAL)
def several(request, edits_of) -> Edits:
    return edits_of(request.param)


@pytest.fixture
def make_edit(make_spec):
    """Of a request for the pictures, which the worker would have brought along."""

    def make(*pictures, prompt="the boat of the first image on the table of the second", **changes):
        input_images = tuple(
            InputImage(key=f"{number}.png", width=pixels.shape[1], height=pixels.shape[0])
            for number, pixels in enumerate(pictures)
        )
        values = {"width": 96, "height": 64, "num_inference_steps": STEPS, "input_images": input_images}
        return make_spec(prompt, **(values | changes))

    return make


def test_an_edit_is_what_a_plain_call_draws(edits, make_edit):
    """Bit for bit, for each image of a batch."""
    spec = make_edit(FIRST)

    np.testing.assert_array_equal(
        edits.call(spec, [FIRST], count=2), paint(edits.backend, spec, count=2, input_images=[FIRST])
    )


def test_several_references_are_what_a_plain_call_draws(several, make_edit):
    """Bit for bit, with two and three pictures of different shapes."""
    for pictures in [(FIRST, SECOND), (THIRD, FIRST, SECOND)]:
        spec = make_edit(*pictures)

        np.testing.assert_array_equal(
            several.call(spec, pictures), paint(several.backend, spec, input_images=list(pictures))
        )


def test_their_order_is_all_that_names_them(several, make_edit):
    """Swapped, the first image is another one: the picture changes visibly. In the same order it is the same."""
    spec = make_edit(FIRST, SECOND)

    one, again, swapped = (
        paint(several.backend, spec, input_images=pictures)
        for pictures in ([FIRST, SECOND], [FIRST, SECOND], [SECOND, FIRST])
    )

    np.testing.assert_array_equal(one, again)
    assert np.abs(one.astype(float) - swapped).mean() > 1


def test_each_reference_and_the_prompt_matter(edits, make_edit):
    """Another picture, another prompt and another seed each draw something else."""
    spec = make_edit(FIRST)
    one = paint(edits.backend, spec, input_images=[FIRST])

    assert (one != paint(edits.backend, spec, input_images=[picture(96, 64)])).any()
    assert (one != paint(edits.backend, make_edit(FIRST, prompt="a lake"), input_images=[FIRST])).any()
    assert (one != paint(edits.backend, replace(spec, seed=8), input_images=[FIRST])).any()


def test_an_image_does_not_depend_on_its_batch(edits, make_edit):
    """Image k alone is image k of the batch, in all four."""
    spec = make_edit(FIRST)
    whole = paint(edits.backend, spec, count=3, input_images=[FIRST])

    assert_alike(whole[1:2], paint(edits.backend, spec, first=1, input_images=[FIRST]))
    assert_alike(whole[2:3], paint(edits.backend, replace(spec, seed=9), input_images=[FIRST]))


@pytest.mark.parametrize(("width", "height"), [(70, 65), (127, 81)])
def test_every_size_is_honoured(several, make_edit, width, height):
    """Whatever the references' sizes: cut from the middle of the next size that the model draws."""
    spec = make_edit(SECOND, width=width, height=height)
    wide, high = -(-width // 16) * 16, -(-height // 16) * 16

    whole = several.call(spec, [SECOND], width=wide, height=high)

    left, top = (wide - width) // 2, (high - height) // 2
    cut = whole[:, top : top + height, left : left + width]
    np.testing.assert_array_equal(cut, paint(several.backend, spec, input_images=[SECOND]))


def test_a_start_picture_of_another_size_is_fitted_first(edits_of, make_edit):
    """A picture of any shape starts a drawing of any size: scaled to cover it, cropped, and where the model draws a
    larger size, continued by its own edges, which are cut off again."""
    edits = edits_of("img2img")
    large = np.asarray(Image.fromarray(FIRST).resize((288, 192), Image.Resampling.NEAREST))
    spec = make_edit(large, width=70, height=40)
    edge = (192 - 288 * 40 / 70) / 2
    box = (0, edge, 288, 192 - edge)
    prepare = np.asarray(Image.fromarray(large).resize((70, 40), Image.Resampling.LANCZOS, box=box))
    filled = np.pad(prepare, ((4, 4), (5, 5), (0, 0)), mode="symmetric")

    whole = edits.call(spec, [filled], width=80, height=48)

    pixels = paint(edits.backend, spec, input_images=[large])
    assert np.abs(whole[:, 4:44, 5:75].astype(float) - pixels).mean() < 2
    np.testing.assert_array_equal(
        edits.call(spec, [filled], width=80, height=48)[:, 4:44, 5:75],
        paint(edits.backend, spec, input_images=[prepare]),
    )


def test_strength_is_how_much_is_drawn_anew(edits_of, make_edit):
    """Of all of it nothing of the start picture is left; the model's own strength counts where the request has none."""
    backend = edits_of("img2img").backend
    other = picture(96, 64)

    def drawn(reference, strength):
        return paint(backend, make_edit(FIRST, strength=strength), input_images=[reference])

    np.testing.assert_array_equal(drawn(FIRST, 1.0), drawn(other, 1.0))
    assert (drawn(FIRST, 0.6) != drawn(other, 0.6)).any()
    np.testing.assert_array_equal(drawn(FIRST, None), drawn(FIRST, 0.6))
    assert drawn(FIRST, 0.0).any()


def test_progress_is_every_task_once(edits, make_edit):
    """Prompt, pictures, each step that is taken, decoding: what the worker counts with."""
    for steps, strength in [(1, None), (8, None), (8, 0.3)]:
        spec, heard = make_edit(FIRST, num_inference_steps=steps, strength=strength), []

        paint(edits.backend, spec, count=2, input_images=[FIRST], on_progress=heard.append)

        of_files = TASKS_WITHOUT_STEPS - 2 * WRITE_FILES
        assert list(range(1, tasks_per_job(plan_generation(spec, MODELS[edits.name]), 1) - of_files + 1)) == heard


@pytest.mark.parametrize("stop_at", range(STEPS + 2))
def test_a_cancelled_edit_stops_at_once_and_leaves_no_trace(edits, make_edit, stop_at):
    """No step follows the cancel, not even pictures are encoded, and the next edit is as if nothing had been."""
    spec = make_edit(FIRST)
    before = paint(edits.backend, spec, input_images=[FIRST])
    heard = []

    with pytest.raises(GenerationCancelled):
        paint(
            edits.backend,
            replace(spec, seed=9),
            input_images=[FIRST],
            on_progress=heard.append,
            is_cancelled=lambda: len(heard) >= stop_at,
        )

    assert len(heard) <= max(stop_at, 1)
    np.testing.assert_array_equal(before, paint(edits.backend, spec, input_images=[FIRST]))


def test_guidance_reaches_an_edit_by_whatever_name(edits_of, make_edit):
    """Qwen-Image calls it otherwise, and guides only away from something: nothing at all, where nobody says what."""
    edits = edits_of("qwen")
    spec = make_edit(FIRST, guidance_scale=3.0)
    guided = paint(edits.backend, spec, input_images=[FIRST])
    away = paint(edits.backend, replace(spec, negative_prompt="text, logo"), input_images=[FIRST])

    np.testing.assert_array_equal(edits.call(spec, [FIRST], true_cfg_scale=3.0, negative_prompt=" "), guided)
    np.testing.assert_array_equal(edits.call(spec, [FIRST], true_cfg_scale=3.0, negative_prompt="text, logo"), away)
    assert (guided != away).any()
    assert (guided != paint(edits.backend, replace(spec, guidance_scale=0.0), input_images=[FIRST])).any()
    told = [
        used_by(edits.backend, replace(spec, negative_prompt="text", guidance_scale=g), [FIRST]) for g in (1.0, 3.0)
    ]
    assert [None, "text"] == [used.negative_prompt for used in told]


@pytest.mark.parametrize("name", ["img2img", "omni"])
def test_negative_prompts_reach_an_edit(edits_of, make_edit, name):
    """Where there is guidance; as the pipeline itself takes them."""
    edits = edits_of(name)
    spec = make_edit(FIRST, guidance_scale=3.0, negative_prompt="text, logo, watermark")

    pixels = paint(edits.backend, spec, input_images=[FIRST])

    np.testing.assert_array_equal(edits.call(spec, [FIRST], negative_prompt=[spec.negative_prompt]), pixels)
    assert (pixels != paint(edits.backend, replace(spec, negative_prompt=None), input_images=[FIRST])).any()


def test_text_alone_is_still_drawn_by_models_that_edit(edits_of, make_spec):
    """As without the entry's edits, bit for bit; but for those that draw edits only."""
    plain = DiffusersBackend.load(model=TINY, source=edits_of("img2img").folder, device="cpu")

    np.testing.assert_array_equal(paint(plain, make_spec()), paint(edits_of("img2img").backend, make_spec()))
    for name in ("omni", "klein"):
        assert paint(edits_of(name).backend, make_spec()).any()
    with pytest.raises(InvalidInput, match="only edits"):
        paint(edits_of("qwen").backend, make_spec())
    with pytest.raises(InvalidInput, match="does not edit"):
        paint(plain, make_spec(), input_images=[FIRST])


def test_too_many_and_too_long_pictures_are_refused(edits_of, make_edit):
    """With the number that the model takes, and which picture is at fault."""
    with pytest.raises(InvalidInput, match="edits one picture, and got 2"):
        paint(edits_of("img2img").backend, make_edit(FIRST, SECOND), input_images=[FIRST, SECOND])
    with pytest.raises(InvalidInput, match="up to 3 pictures, and got 4"):
        paint(edits_of("qwen").backend, make_edit(*[FIRST] * 4), input_images=[FIRST] * 4)
    banner = picture(640, 64)
    with pytest.raises(InvalidInput, match="Picture 2 is 640x64"):
        paint(edits_of("omni").backend, make_edit(FIRST, banner), input_images=[FIRST, banner])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (63, 500), (512, 64)])
def test_pictures_at_the_limits_are_taken(several, make_edit, width, height):
    """Tiny ones are scaled up to what the pipelines take."""
    tiny = picture(width, height)

    assert paint(several.backend, make_edit(tiny, num_inference_steps=1), input_images=[tiny]).any()


def test_marks_between_pictures_are_refused(several, make_edit):
    """A prompt cannot name pictures that are not there."""
    mark = "<|vision_start|>" if several.name != "klein" else "<|im_start|>"

    with pytest.raises(InvalidInput, match="markup"):
        paint(several.backend, make_edit(FIRST, prompt=f"a {mark} boat"), input_images=[FIRST])


def test_the_longest_prompt_leaves_room_for_every_picture(edits_of, make_edit):
    """Beside the most pictures it is drawn, and one token more is refused: no position is past the model's table."""
    edits = edits_of("omni")
    pictures, max_tokens = [THIRD] * 8, 1536 - 32 - 40
    empty = [{"role": "user", "content": ""}]
    around = len(edits.plain.tokenizer.apply_chat_template(empty, add_generation_prompt=True)["input_ids"])

    def generate(words):
        spec = make_edit(*pictures, prompt=" a" * words, num_inference_steps=1, width=64)
        return paint(edits.backend, spec, input_images=pictures)

    assert generate(max_tokens - around).any()
    with pytest.raises(InvalidInput, match=f"at most {max_tokens}"):
        generate(max_tokens - around + 1)


@pytest.mark.parametrize(
    ("of", "changes", "complaint"),
    [
        ("img2img", {"edit_pipeline": "", "strength": 0.0}, "ZImagePipeline takes none"),
        ("img2img", {"strength": 0.0}, "max_input_images = 1, and a strength"),
        ("img2img", {"max_input_images": 2}, "max_input_images = 1, and a strength"),
        ("img2img", {"edit_pipeline": "ZImageOmniPipeline"}, "needs siglip, siglip_processor"),
        ("img2img", {"edit_pipeline": "ZImageEditPipeline"}, "has no ZImageEditPipeline, which edit_pipeline"),
        ("img2img", {"pipeline": "ZImageOmniPipeline", "edit_pipeline": ""}, "not made for ZImageOmniPipeline"),
        ("omni", {"strength": 0.5}, "takes no strength"),
        ("omni", {"dtype": "float32"}, 'set dtype = "bfloat16"'),
        ("qwen", {"max_input_images": 0, "requires_input_image": False}, "only edits"),
    ],
)
def test_what_the_catalog_promises_and_the_pipeline_does_not_do(folder, of, changes, complaint):
    """Said when the model is loaded, with the field to change."""
    model = replace(MODELS[of], **changes)

    with pytest.raises(ModelLoadError, match=complaint):
        DiffusersBackend.load(model=model, source=folder(of), device="cpu")


async def test_an_edit_through_its_own_process(edits_of, make_edit, make_part):
    """The same bytes, with pictures that travelled through shared memory."""
    edits = edits_of("omni")
    engine = EngineProcess(model=MODELS["omni"], source=edits.folder, device="cpu", load_timeout=60)
    await engine.start()
    spec, heard = make_edit(FIRST, SECOND), []
    part = replace(make_part(count=2, input_images=[FIRST, SECOND]), spec=spec)

    drawn = await engine.generate(part, heard.append)

    np.testing.assert_array_equal(paint(edits.backend, spec, count=2, input_images=[FIRST, SECOND]), drawn.pixels)
    assert list(range(1, STEPS + 4)) == heard
    await engine.stop()
