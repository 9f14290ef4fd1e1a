"""Edits and models that edit, refused before anything is generated."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipelet.domain.errors import InvalidInput, ModelLoadError
from pipelet.engine.diffusers.backend import DiffusersBackend
from tests.engine.calls import MakeSpec
from tests.engine.diffusers.calls import generate_images
from tests.engine.diffusers.edits.models import FIRST, MODELS, SECOND, THIRD, Edits, EditsOf, noise_image


def test_too_many_and_too_long_images_are_refused(edits_of: EditsOf, make_edit: MakeSpec) -> None:
    """With the number that the model takes, and which image is at fault."""
    with pytest.raises(InvalidInput, match="edits one image, and got 2"):
        generate_images(edits_of("img2img").backend, make_edit(FIRST, SECOND), input_images=[FIRST, SECOND])
    with pytest.raises(InvalidInput, match="up to 3 images, and got 4"):
        generate_images(edits_of("qwen").backend, make_edit(*[FIRST] * 4), input_images=[FIRST] * 4)
    banner = noise_image(640, 64)
    with pytest.raises(InvalidInput, match="Image 2 is 640x64"):
        generate_images(edits_of("omni").backend, make_edit(FIRST, banner), input_images=[FIRST, banner])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (63, 500), (512, 64)])
def test_images_at_the_limits_are_taken(several: Edits, make_edit: MakeSpec, width: int, height: int) -> None:
    """Tiny ones are scaled up to what the pipelines take."""
    tiny = noise_image(width, height)

    assert generate_images(several.backend, make_edit(tiny, num_inference_steps=1), input_images=[tiny]).any()


def test_marks_between_images_are_refused(several: Edits, make_edit: MakeSpec) -> None:
    """A prompt cannot name images that are not there."""
    mark = "<|vision_start|>" if several.name != "klein" else "<|im_start|>"

    with pytest.raises(InvalidInput, match="markup"):
        generate_images(several.backend, make_edit(FIRST, prompt=f"a {mark} boat"), input_images=[FIRST])


def test_the_longest_prompt_leaves_room_for_every_image(edits_of: EditsOf, make_edit: MakeSpec) -> None:
    """With the most images it is accepted, and one token more is refused: no position is past the model's table."""
    edits = edits_of("omni")
    images, max_tokens = [THIRD] * 8, 1536 - 32 - 40
    empty = [{"role": "user", "content": ""}]
    around = len(edits.plain.tokenizer.apply_chat_template(empty, add_generation_prompt=True)["input_ids"])

    def generate(words):
        spec = make_edit(*images, prompt=" a" * words, num_inference_steps=1, width=64)
        return generate_images(edits.backend, spec, input_images=images)

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
def test_what_the_catalog_promises_and_the_pipeline_does_not_do(
    folder: Callable[[str], str], of: str, changes: dict[str, Any], complaint: str
) -> None:
    """Said when the model is loaded, with the field to change."""
    model = replace(MODELS[of], **changes)

    with pytest.raises(ModelLoadError, match=complaint):
        DiffusersBackend.load(model=model, source=folder(of), device="cpu")
