"""The real pipeline on a tiny checkpoint, drawn in this process: what it draws, refuses and survives."""

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from tests.engine.tiny_stable_diffusion import make_stable_diffusion
from tests.engine.tiny_z_image import TINY
from tests.engine.used import used_by

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import GenerationCancelled, InvalidInput, ModelLoadError, OutOfMemory
from pipelet.domain.ports.engine import EffectiveParameters
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.devices import native_dtype
from pipelet.engine.process import EngineProcess


@pytest.fixture(scope="module")
def tiny(tiny_z_image):
    return DiffusersBackend.load(model=TINY, source=tiny_z_image, device="cpu")


@pytest.fixture(scope="module")
def plain(tiny_z_image):
    """The same checkpoint, as anybody would call it."""
    pipe = diffusers.ZImagePipeline.from_pretrained(tiny_z_image, dtype=native_dtype(torch.device("cpu")))
    pipe.set_progress_bar_config(disable=True)
    pipe.vae.enable_slicing()
    return pipe


def paint(
    backend, spec, *, first=0, count=1, input_images=(), on_progress=lambda done: None, is_cancelled=lambda: False
):
    out = np.zeros((count, spec.height, spec.width, 3), np.uint8)
    backend.generate(
        spec=spec,
        first=first,
        count=count,
        input_images=input_images,
        out=out,
        on_progress=on_progress,
        is_cancelled=is_cancelled,
    )
    return out


def call(pipe, spec, *, count=1, width=None, height=None, **more):
    """What a plain call of the pipeline draws, through PIL."""
    images = pipe(
        prompt=[spec.prompt] * count,
        width=width or spec.width,
        height=height or spec.height,
        num_inference_steps=spec.num_inference_steps,
        guidance_scale=spec.guidance_scale,
        generator=[torch.Generator("cpu").manual_seed(spec.seed + k) for k in range(count)],
        **more,
    ).images
    return np.stack([np.asarray(image) for image in images])


def assert_alike(expected, drawn):
    """Bit for bit where the CPU computes with bfloat16, which rounds off in what order sums are added up; in float32,
    to one level of 255."""
    exact = native_dtype(torch.device("cpu")) is torch.bfloat16
    np.testing.assert_allclose(drawn.astype(int), expected.astype(int), rtol=0, atol=0 if exact else 1)


@pytest.mark.parametrize(
    ("width", "height", "count", "seed"), [(64, 64, 1, 0), (128, 64, 3, 7), (80, 208, 1, 2**53 - 1), (256, 256, 3, 1)]
)
def test_a_picture_is_what_a_plain_call_draws(tiny, plain, make_spec, width, height, count, seed):
    """Bit for bit the pictures of ZImagePipeline with one generator an image."""
    spec = make_spec(width=width, height=height, seed=seed, num_inference_steps=8)

    np.testing.assert_array_equal(call(plain, spec, count=count), paint(tiny, spec, count=count))


@pytest.mark.parametrize(("width", "height"), [(70, 65), (127, 81), (64, 95), (1, 1)])
def test_other_sizes_are_cut_from_the_middle_of_the_next_larger(tiny, plain, make_spec, width, height):
    """A size that the model cannot draw is honoured exactly: the next one, cropped, centred."""
    spec = make_spec(width=width, height=height)
    wide, high = -(-width // 16) * 16, -(-height // 16) * 16

    whole = call(plain, spec, width=wide, height=high)

    left, top = (wide - width) // 2, (high - height) // 2
    np.testing.assert_array_equal(whole[:, top : top + height, left : left + width], paint(tiny, spec))


@pytest.mark.parametrize("prompt", ["", "a fox", "a red fox in the snow, " * 12, "a red fox in the snow, " * 60])
def test_the_length_of_a_prompt_changes_nothing_else(tiny, plain, make_spec, prompt):
    """Prompts of any bucket draw what the pipeline draws with its default length."""
    spec = make_spec(prompt)

    np.testing.assert_array_equal(call(plain, spec), paint(tiny, spec))


def test_guidance_draws_with_the_negative_prompt(tiny, plain, make_spec):
    """Guidance and a negative prompt reach the pipeline, and each changes the picture."""
    spec = make_spec(guidance_scale=3.0, negative_prompt="text, logo, watermark, " * 20)

    pixels = paint(tiny, spec)

    assert_alike(call(plain, spec, negative_prompt=[spec.negative_prompt]), pixels)
    assert (pixels != paint(tiny, make_spec(guidance_scale=3.0))).any()
    assert (pixels != paint(tiny, make_spec())).any()


def test_an_image_does_not_depend_on_its_batch(tiny, make_spec):
    """Image k alone is image k of the batch, and the parts of a batch make the whole."""
    spec = make_spec(width=96, height=80)
    whole = paint(tiny, spec, count=4)

    assert_alike(whole[2:3], paint(tiny, spec, first=2))
    assert_alike(whole[1:4], paint(tiny, spec, first=1, count=3))
    assert_alike(whole[3:4], paint(tiny, make_spec(width=96, height=80, seed=10)))


def test_pictures_depend_visibly_on_prompt_and_seed(tiny, make_spec):
    """Another prompt and another seed give pictures that anybody can tell apart."""
    one = paint(tiny, make_spec(width=128, height=128)).astype(float)

    for changes in ({"prompt": "a blue lake"}, {"seed": 8}):
        other = paint(tiny, make_spec(width=128, height=128, **changes))
        assert np.abs(one - other).mean() > 5


def test_progress_is_every_task_once(tiny, make_spec):
    """Encoded 1, each step 1, decoded 1, whatever the number of images."""
    for steps, count in [(1, 1), (8, 1), (5, 3)]:
        heard = []

        paint(tiny, make_spec(num_inference_steps=steps), count=count, on_progress=heard.append)

        assert list(range(1, steps + 3)) == heard


@pytest.mark.parametrize("stop_at", [0, 1, 2, 4, 5])
def test_a_cancelled_drawing_stops_at_once_and_leaves_no_trace(tiny, make_spec, stop_at):
    """No step follows the cancel, and the next picture is as if nothing had been."""
    spec = make_spec()
    before = paint(tiny, spec)
    heard = []

    with pytest.raises(GenerationCancelled):
        paint(tiny, make_spec(seed=9), on_progress=heard.append, is_cancelled=lambda: len(heard) >= stop_at)

    assert len(heard) <= max(stop_at, 1)
    np.testing.assert_array_equal(before, paint(tiny, spec))


def test_the_longest_prompt_is_drawn_and_a_longer_one_refused(tiny, plain, make_spec):
    """At the limit a prompt is drawn; one token past it the refusal names both numbers."""
    template = [{"role": "user", "content": ""}]
    around = len(plain.tokenizer.apply_chat_template(template, add_generation_prompt=True)["input_ids"])
    word = " a"
    paint(tiny, make_spec(word * (1504 - around), num_inference_steps=1))

    with pytest.raises(InvalidInput, match=r"has 1505 tokens.*at most 1504"):
        paint(tiny, make_spec(word * (1505 - around), num_inference_steps=1))


@pytest.fixture(scope="module")
def short_sighted(tiny_z_image):
    """The same, as if its model had only been trained with captions of up to 96 tokens."""
    model = replace(TINY, max_prompt_tokens=96, prompt_overflow="truncate")
    return DiffusersBackend.load(model=model, source=tiny_z_image, device="cpu")


@pytest.mark.parametrize(
    "prompt",
    [
        "a red fox in the snow, " * 174,
        "x" * 4000,
        "狐狸在雪地里" * 666,
        "🦊" * 4000,
        "\n\t\u202e" * 1333,
        "👩\u200d🚀e\u0301" * 800,
    ],
    ids=["words", "no words", "Chinese", "emoji", "invisible", "joined"],
)
def test_a_prompt_of_any_length_is_drawn_where_it_may_be_cut(short_sighted, make_spec, prompt):
    """No text within the API's limit is too long, in any script, and what stands in its beginning counts."""
    pixels = paint(short_sighted, make_spec(prompt, num_inference_steps=2))

    assert (pixels != paint(short_sighted, make_spec("A lake. " + prompt, num_inference_steps=2))).any()


def test_a_prompt_is_cut_behind_a_word(short_sighted, tiny, plain, make_spec):
    """Exactly the picture of the first words that fit; a prompt that fits is not touched."""
    template = [{"role": "user", "content": ""}]
    around = len(plain.tokenizer.apply_chat_template(template, add_generation_prompt=True)["input_ids"])
    fits = "a" + " a" * (94 - around)

    whole = paint(tiny, make_spec(fits))

    np.testing.assert_array_equal(whole, paint(short_sighted, make_spec(fits)))
    np.testing.assert_array_equal(whole, paint(short_sighted, make_spec(fits + " zyzzyvas in a lake")))


def test_a_painter_tells_what_it_used(tiny, short_sighted, make_spec):
    """The prompt as far as it was read, a negative prompt only where it had an effect, and the sampler."""
    spec = make_spec("a fox " * 100, negative_prompt="blue")
    unguided, guided = used_by(tiny, spec), used_by(tiny, replace(spec, guidance_scale=0.5))

    assert EffectiveParameters(prompt=spec.prompt, negative_prompt=None, sampler="Euler") == unguided
    assert replace(unguided, negative_prompt="blue") == guided
    assert spec.prompt.startswith(read := used_by(short_sighted, spec).prompt)
    assert 20 < len(read) < 600


def test_a_limit_that_leaves_no_room_refuses(tiny_z_image, make_spec):
    """Where not even the template fits, there is nothing to draw."""
    model = replace(TINY, max_prompt_tokens=3, prompt_overflow="truncate")
    backend = DiffusersBackend.load(model=model, source=tiny_z_image, device="cpu")

    with pytest.raises(InvalidInput, match="at most 3"):
        paint(backend, make_spec("a fox"))


def test_every_word_of_a_long_prompt_counts(tiny, make_spec):
    """What stands past the pipeline's default length of 512 tokens still changes the picture."""
    long = "a red fox in the snow, " * 100

    assert (paint(tiny, make_spec(long + "day")) != paint(tiny, make_spec(long + "night"))).any()


def test_only_a_negative_prompt_that_is_used_can_be_too_long(tiny, make_spec):
    """Without guidance a negative prompt is not read, so its length is no matter."""
    spec = make_spec(negative_prompt="a " * 2000)
    paint(tiny, spec)

    with pytest.raises(InvalidInput, match="at most 1504"):
        paint(tiny, make_spec(negative_prompt="a " * 2000, guidance_scale=2.0))


@pytest.mark.parametrize("mark", ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>"])
def test_marks_of_the_template_are_refused(tiny, make_spec, mark):
    """A prompt cannot break out of the template it is put into; the refusal names the mark."""
    with pytest.raises(InvalidInput, match="markup") as caught:
        paint(tiny, make_spec(f"a fox{mark}\nand more"))

    assert mark in str(caught.value)
    assert paint(tiny, make_spec("<|im_ end|> < think > 3 < 4 <b>")).any()


def test_a_side_past_the_models_table_is_refused(tiny, make_spec):
    """What would end in an assert on the device is refused before."""
    with pytest.raises(InvalidInput, match="at most 8192 pixels a side"):
        paint(tiny, make_spec(width=8200, height=16, num_inference_steps=1))


def test_what_would_break_inside_is_refused(tiny, make_spec):
    """Half a surrogate pair and no steps at all are the request's fault, not the pipeline's."""
    with pytest.raises(InvalidInput, match="broken at character 3"):
        paint(tiny, make_spec("a \ud800"))
    with pytest.raises(InvalidInput, match="at least one step"):
        paint(tiny, make_spec(num_inference_steps=0))


@pytest.mark.parametrize("prompt", ["{{ 7 * 7 }}{% raw %}", "a\x00b", "\u2028\ufeff\u202e", "狐狸 🦊 e\u0301"])
def test_unusual_text_is_only_text(tiny, plain, make_spec, prompt):
    """Template syntax, control characters and any script are drawn as the plain call draws them."""
    spec = make_spec(prompt, num_inference_steps=2)

    np.testing.assert_array_equal(call(plain, spec), paint(tiny, spec))


async def test_memory_that_is_not_there_is_out_of_memory(tiny_z_image, make_part):
    """A picture that the machine cannot hold raises OutOfMemory, and the same process draws a smaller one."""
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


async def test_a_checkpoint_through_its_own_process(tiny, tiny_z_image, make_spec, make_part):
    """The engine process draws the same bytes, in parts of any size."""
    engine = EngineProcess(model=TINY, source=tiny_z_image, device="cpu", load_timeout=60)
    info = await engine.start()
    heard = []

    drawn = await engine.generate(make_part(first=1, count=2, width=100, height=60), heard.append)

    assert ("tiny", "cpu") == (info.model, info.device)
    np.testing.assert_array_equal(paint(tiny, make_spec(width=100, height=60), first=1, count=2), drawn.pixels)
    assert [1, 2, 3, 4, 5, 6] == heard
    await engine.stop()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' own, beside numpy 2
@pytest.mark.parametrize("scheduler", ["PNDMScheduler", "HeunDiscreteScheduler"])
def test_another_pipeline_class_draws_from_its_folder(tmp_path, make_spec, scheduler):
    """A folder is enough: its own class, called with what that class takes, bit for bit as a plain call."""
    make_stable_diffusion(tmp_path, scheduler)
    model = ModelConfig(name="sd", source=str(tmp_path), dtype="float32")
    backend = DiffusersBackend.load(model=model, source=str(tmp_path), device="cpu")
    plain = diffusers.StableDiffusionPipeline.from_pretrained(tmp_path, dtype=torch.float32)
    plain.set_progress_bar_config(disable=True)
    plain.vae.enable_slicing()
    spec = make_spec(guidance_scale=5.0, negative_prompt="text", num_inference_steps=5)
    heard = []

    pixels = paint(backend, spec, count=2, on_progress=heard.append)

    np.testing.assert_array_equal(call(plain, spec, count=2, negative_prompt=["text"] * 2), pixels)
    assert list(range(1, 8)) == heard
    assert (70, 50) == paint(backend, make_spec(width=50, height=70)).shape[1:3]
    used, unguided = used_by(backend, spec), used_by(backend, replace(spec, guidance_scale=1.0))
    assert ("text", None) == (used.negative_prompt, unguided.negative_prompt)
    assert {"PNDMScheduler": None, "HeunDiscreteScheduler": "Heun"}[scheduler] == used.sampler


def test_a_class_that_takes_no_prompt_is_unusable(tmp_path):
    """A pipeline that cannot be told what to draw is refused when it is loaded."""
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
def test_a_device_that_is_not_there_is_named(tiny_z_image, device):
    """The message names the device and the setting."""
    with pytest.raises(ModelLoadError, match=f"The device {device} cannot be used.*PIPELET_DEVICE"):
        DiffusersBackend.load(model=TINY, source=tiny_z_image, device=device)
