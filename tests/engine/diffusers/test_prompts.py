"""Prompts of any length and text, and what a model takes of them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelet.domain.errors import InvalidInput
from pipelet.domain.ports.engine import EffectiveParameters
from pipelet.engine.diffusers.backend import DiffusersBackend
from tests.engine.calls import MakeSpec
from tests.engine.diffusers.calls import call, generate_images, used_by
from tests.engine.diffusers.tiny_models.z_image import TINY


@pytest.mark.parametrize("prompt", ["", "a fox", "a red fox in the snow, " * 12, "a red fox in the snow, " * 60])
def test_the_length_of_a_prompt_changes_nothing_else(
    tiny: DiffusersBackend, plain: Any, make_spec: MakeSpec, prompt: str
) -> None:
    """Prompts of any bucket generate what the pipeline generates with its default length."""
    spec = make_spec(prompt)

    np.testing.assert_array_equal(call(plain, spec), generate_images(tiny, spec))


def test_the_longest_prompt_is_generated_and_a_longer_one_refused(
    tiny: DiffusersBackend, plain: Any, make_spec: MakeSpec
) -> None:
    """At the limit a prompt is generated; one token past it the refusal names both numbers."""
    template = [{"role": "user", "content": ""}]
    around = len(plain.tokenizer.apply_chat_template(template, add_generation_prompt=True)["input_ids"])
    word = " a"
    generate_images(tiny, make_spec(word * (1504 - around), num_inference_steps=1))

    with pytest.raises(InvalidInput, match=r"has 1505 tokens.*at most 1504"):
        generate_images(tiny, make_spec(word * (1505 - around), num_inference_steps=1))


@pytest.fixture(scope="module")
def short_sighted(tiny_z_image: str) -> DiffusersBackend:
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
def test_a_prompt_of_any_length_is_generated_where_it_may_be_cut(
    short_sighted: DiffusersBackend, make_spec: MakeSpec, prompt: str
) -> None:
    """No text within the API's limit is too long, in any script, and what stands in its beginning counts."""
    pixels = generate_images(short_sighted, make_spec(prompt, num_inference_steps=2))

    assert (pixels != generate_images(short_sighted, make_spec("A lake. " + prompt, num_inference_steps=2))).any()


def test_a_prompt_is_cut_behind_a_word(
    short_sighted: DiffusersBackend, tiny: DiffusersBackend, plain: Any, make_spec: MakeSpec
) -> None:
    """Exactly the image of the first words that fit; a prompt that fits is not touched."""
    template = [{"role": "user", "content": ""}]
    around = len(plain.tokenizer.apply_chat_template(template, add_generation_prompt=True)["input_ids"])
    fits = "a" + " a" * (94 - around)

    whole = generate_images(tiny, make_spec(fits))

    np.testing.assert_array_equal(whole, generate_images(short_sighted, make_spec(fits)))
    np.testing.assert_array_equal(whole, generate_images(short_sighted, make_spec(fits + " zyzzyvas in a lake")))


def test_a_backend_reports_what_it_used(
    tiny: DiffusersBackend, short_sighted: DiffusersBackend, make_spec: MakeSpec
) -> None:
    """The prompt as far as it was read, a negative prompt only where it had an effect, and the sampler."""
    spec = make_spec("a fox " * 100, negative_prompt="blue")
    unguided, guided = used_by(tiny, spec), used_by(tiny, replace(spec, guidance_scale=0.5))

    assert EffectiveParameters(prompt=spec.prompt, negative_prompt=None, sampler="Euler") == unguided
    assert replace(unguided, negative_prompt="blue") == guided
    assert spec.prompt.startswith(read := used_by(short_sighted, spec).prompt)
    assert 20 < len(read) < 600


def test_a_limit_that_leaves_no_room_refuses(tiny_z_image: str, make_spec: MakeSpec) -> None:
    """Where not even the template fits, there is nothing to generate."""
    model = replace(TINY, max_prompt_tokens=3, prompt_overflow="truncate")
    backend = DiffusersBackend.load(model=model, source=tiny_z_image, device="cpu")

    with pytest.raises(InvalidInput, match="at most 3"):
        generate_images(backend, make_spec("a fox"))


def test_every_word_of_a_long_prompt_counts(tiny: DiffusersBackend, make_spec: MakeSpec) -> None:
    """What stands past the pipeline's default length of 512 tokens still changes the image."""
    long = "a red fox in the snow, " * 100

    assert (generate_images(tiny, make_spec(long + "day")) != generate_images(tiny, make_spec(long + "night"))).any()


def test_only_a_negative_prompt_that_is_used_can_be_too_long(tiny: DiffusersBackend, make_spec: MakeSpec) -> None:
    """Without guidance a negative prompt is not read, so its length is no matter."""
    spec = make_spec(negative_prompt="a " * 2000)
    generate_images(tiny, spec)

    with pytest.raises(InvalidInput, match="at most 1504"):
        generate_images(tiny, make_spec(negative_prompt="a " * 2000, guidance_scale=2.0))


@pytest.mark.parametrize("mark", ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>"])
def test_marks_of_the_template_are_refused(tiny: DiffusersBackend, make_spec: MakeSpec, mark: str) -> None:
    """A prompt cannot break out of the template it is put into; the refusal names the mark."""
    with pytest.raises(InvalidInput, match="markup") as caught:
        generate_images(tiny, make_spec(f"a fox{mark}\nand more"))

    assert mark in str(caught.value)
    assert generate_images(tiny, make_spec("<|im_ end|> < think > 3 < 4 <b>")).any()


@pytest.mark.parametrize("prompt", ["{{ 7 * 7 }}{% raw %}", "a\x00b", "\u2028\ufeff\u202e", "狐狸 🦊 e\u0301"])
def test_unusual_text_is_only_text(tiny: DiffusersBackend, plain: Any, make_spec: MakeSpec, prompt: str) -> None:
    """Template syntax, control characters and any script are generated as the plain call generates them."""
    spec = make_spec(prompt, num_inference_steps=2)

    np.testing.assert_array_equal(call(plain, spec), generate_images(tiny, spec))
