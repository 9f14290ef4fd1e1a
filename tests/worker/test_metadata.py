"""What image files say about how they were made."""

import io
import json
import re
import struct
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import OutputFormat
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.ports.engine import EffectiveParameters
from pipelet.worker.images.encode import encode
from pipelet.worker.images.metadata import DIGITAL_SOURCE_TYPE, build_metadata, request_details
from tests.support.images import details
from tests.support.jobs import make_job
from tests.worker.conftest import WorkerHarness

MODEL = ModelConfig(name="z-image-turbo", source="none")
PIXELS = np.random.default_rng(3).integers(0, 255, (64, 96, 3), np.uint8)
USED = EffectiveParameters(prompt="a fox", negative_prompt=None, sampler="Euler")
# As AUTOMATIC1111's web UI reads the line of facts.
PARAMETER = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
FORMATS = pytest.mark.parametrize("output_format", OutputFormat)


def file_of(
    output_format: OutputFormat = OutputFormat.PNG,
    *,
    used: EffectiveParameters | None = USED,
    model: ModelConfig = MODEL,
    store_input: bool = True,
    **spec: Any,
) -> Image.Image:
    job = replace(make_job(**{"prompt": "a fox", "output_format": output_format} | spec), store_input=store_input)
    known = request_details(job, plan_generation(job.spec, model), version="1.2")
    metadata = build_metadata(known, used, seed=7, output_format=job.spec.output_format)
    return Image.open(io.BytesIO(encode(PIXELS, job.spec.output_format, metadata)))


def parameters(image: Image.Image) -> str:
    """The text, from where AUTOMATIC1111's web UI looks for it."""
    if image.format == "PNG":
        return image.text["parameters"]  # type: ignore[attr-defined]
    assert (
        struct.pack(">HH", ExifTags.Base.UserComment, 7) in image.info["exif"]
    )  # 7: bytes that only readers understand
    comment = image.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]
    assert comment.startswith(b"UNICODE\0")
    return comment[8:].decode("utf-16-be")


def facts(text: str) -> dict[str, str]:
    found = dict(PARAMETER.findall(text.rpartition("\n")[2]))
    return {name: json.loads(value) if value.startswith('"') else value for name, value in found.items()}


@FORMATS
def test_other_programs_read_prompt_and_parameters(output_format: OutputFormat) -> None:
    """In AUTOMATIC1111's syntax, in any script, and with the sampler's name; umlauts and line feeds survive."""
    used = EffectiveParameters(
        prompt="Füchse,\n狐 🦊", negative_prompt="blurry: no", sampler="DPM++ 2M", schedule_type="Karras"
    )
    text = parameters(
        file_of(output_format, used=used, prompt=used.prompt, negative_prompt="blurry: no", guidance_scale=4.5)
    )

    assert text.startswith(
        "Füchse,\n狐 🦊\nNegative prompt: blurry: no\nSteps: 8, Sampler: DPM++ 2M, Schedule type: Karras,"
    )
    assert {
        "Steps": "8",
        "Sampler": "DPM++ 2M",
        "Schedule type": "Karras",
        "CFG scale": "4.5",
        "Seed": "7",
        "Size": "96x64",
        "Model": "z-image-turbo",
        "Version": "Pipelet 1.2",
    } == facts(text)


@FORMATS
def test_files_say_that_a_model_generated_them(output_format: OutputFormat) -> None:
    """By IPTC's term, in XMP; the same packet holds every detail as JSON."""
    image = file_of(output_format, prompt='<a> & "b"', used=replace(USED, prompt='<a> & "b"'))

    packet = ElementTree.fromstring(image.info["xmp"])  # noqa: S314 - made above
    (term,) = packet.iter("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert DIGITAL_SOURCE_TYPE == term.text
    assert "trainedAlgorithmicMedia" == DIGITAL_SOURCE_TYPE.rpartition("/")[2]
    told = details(image)
    assert ('<a> & "b"', 7, "96x64", "Euler") == tuple(told[key] for key in ("prompt", "seed", "size", "sampler"))


def test_what_was_not_used_is_left_out() -> None:
    """A negative prompt without effect, an unknown sampler, an input that is not to be kept."""
    unused = file_of(negative_prompt="blue", guidance_scale=1.0)
    assert "blue" not in parameters(unused) + str(unused.info)
    assert "blue" not in str(file_of(negative_prompt="blue", guidance_scale=0.0, used=None).info)
    assert "Negative prompt: blue" in parameters(file_of(negative_prompt="blue", guidance_scale=2.0, used=None))
    assert "Sampler" not in facts(parameters(file_of(used=replace(USED, sampler=None))))
    secret = file_of(store_input=False, used=replace(USED, prompt="a secret", negative_prompt="another"))
    assert parameters(secret).startswith("Steps: 8, ")
    assert not re.search("secret|another|a fox", str(secret.info))


def test_a_prompt_that_was_cut_is_told_as_it_was_read() -> None:
    """The parameters have what the model read, the details both."""
    image = file_of(prompt="a fox in the snow", used=EffectiveParameters(prompt="a fox", negative_prompt=None))

    assert parameters(image).startswith("a fox\nSteps: ")
    assert ("a fox in the snow", "a fox") == (details(image)["prompt"], details(image)["prompt_read"])
    assert "prompt_read" not in details(file_of())


def test_an_edit_tells_its_strength() -> None:
    """And a value with a comma is quoted, as programs expect it."""
    model = ModelConfig(name="a, b: c", source="none", native_sizes=("64x64",), refine_strength=0.3)
    text = parameters(file_of(model=model, width=128, height=128))

    assert "a, b: c" == facts(text)["Model"]
    assert ("64x64", 0.3) == tuple(
        details(file_of(model=model, width=128, height=128))[k] for k in ("drawn_at", "refine_strength")
    )


@FORMATS
def test_control_characters_stay_outside(output_format: OutputFormat) -> None:
    """A terminal that shows a file's texts must not obey them; XML has no room for them either."""
    prompt = "a\x1b[2J\x07b\x9b31mc\x85\r\nd\te\x00\x7f\ud800\ufffe"
    image = file_of(output_format, prompt=prompt, used=replace(USED, prompt=prompt))

    assert parameters(image).startswith("a[2Jb31mc\nd\te\nSteps")
    assert "a[2Jb31mc\nd\te" == details(image)["prompt"]
    if output_format is OutputFormat.PNG:
        assert all(isinstance(text, PngImagePlugin.iTXt) for text in image.text.values())  # type: ignore[attr-defined]


@FORMATS
def test_the_longest_prompts_fit(output_format: OutputFormat) -> None:
    """Of any characters, also where the catalog allows more: what is too long for a JPEG ends in an ellipsis."""
    for mark in ("&", "🦊", '"'):
        used = EffectiveParameters(prompt=mark * 9000, negative_prompt=mark * 9000)
        image = file_of(
            output_format, prompt=used.prompt, negative_prompt=used.negative_prompt, guidance_scale=3, used=used
        )
        kept = 9000 if output_format is OutputFormat.PNG else 5999
        assert mark * kept == details(image)["prompt"].rstrip("…") == details(image)["negative_prompt"].rstrip("…")
        assert facts(parameters(image))["Seed"] == "7"


@FORMATS
def test_metadata_leaves_the_pixels_alone(output_format: OutputFormat) -> None:
    """With and without it they are the same; without it a file holds nothing else."""
    bare = encode(PIXELS, output_format, None)
    plain = Image.open(io.BytesIO(bare))

    np.testing.assert_array_equal(np.asarray(plain), np.asarray(file_of(output_format)))
    assert not re.search(rb"Exif|xmp|iTXt|tEXt|Pipelet", bare)
    if output_format is OutputFormat.PNG:
        np.testing.assert_array_equal(PIXELS, np.asarray(plain))
        assert struct.unpack(">II", bare[16:24]) == (96, 64)


@pytest.mark.parametrize("output_format", [OutputFormat.JPEG, OutputFormat.WEBP])
def test_a_file_has_the_quality_that_was_asked_for(output_format: OutputFormat) -> None:
    """A lower one makes a smaller file, down to 0; without one it is near the best."""
    sizes = [len(encode(PIXELS, output_format, None, quality=quality)) for quality in (0, 40, 80, None, 100)]

    assert sorted(set(sizes)) == sizes


async def test_metadata_can_be_turned_off(harness: WorkerHarness) -> None:
    """Then files hold pixels alone."""
    async with harness.worker(writes_metadata=False):
        done = await harness.ended(await harness.store.jobs.submit(make_job(prompt="a fox", submitted_at=1.0)))

    with Image.open(harness.files / done.images[0].key) as file:
        file.load()
        assert {} == file.info


@FORMATS
def test_three_prompts_share_the_room(output_format: OutputFormat) -> None:
    """A JPEG's segment has 64 KiB: three prompts of what XML makes longest are cut to what it holds."""
    longest = "&" * 20_000
    used = EffectiveParameters(prompt="&" * 19_000, negative_prompt=longest)
    image = file_of(output_format, prompt=longest, used=used, negative_prompt=longest, guidance_scale=4.0)

    told = [details(image)[name] for name in ("prompt", "prompt_read", "negative_prompt")]
    assert all(text.startswith("&" * 3000) for text in told)
