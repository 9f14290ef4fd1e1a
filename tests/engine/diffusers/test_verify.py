"""A model that would generate a wrong image is unusable before its first request, or its generation fails in words."""

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import GenerationFailed, InvalidInput, ModelLoadError, OutOfMemory
from pipelet.domain.generation.image import InputImage
from pipelet.engine.diffusers.backend import DiffusersBackend
from tests.engine.calls import MakeSpec
from tests.engine.diffusers.calls import call, denoiser_of, generate_images
from tests.engine.diffusers.tiny_models.others import make_checked, make_kontext, make_wan
from tests.engine.diffusers.tiny_models.stable_diffusion import make_stable_diffusion
from tests.engine.diffusers.tiny_models.z_image import TINY

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers, numpy 2
Weights = dict[str, torch.Tensor]
SD = ModelConfig(name="sd", source="", dtype="float32")


def load(folder: Path, model: ModelConfig = TINY) -> DiffusersBackend:
    return DiffusersBackend.load(model=model, source=str(folder), device="cpu")


@pytest.fixture
def folder(tiny_z_image: str, tmp_path: Path) -> Path:
    """A copy of the tiny Z-Image, to be broken."""
    return Path(shutil.copytree(tiny_z_image, tmp_path / "model"))


@pytest.fixture(scope="module")
def stable_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sd")
    make_stable_diffusion(made, "EulerDiscreteScheduler")
    return made


@pytest.fixture(scope="module")
def sd_backend(stable_diffusion: Path) -> DiffusersBackend:
    return load(stable_diffusion, SD)


def change_weights(file: Path, change: Callable[[Weights], Weights]) -> None:
    weights = change(load_file(file))
    save_file(weights, file, metadata={"format": "pt"})


@pytest.mark.parametrize("files", [["tokenizer.json"], ["tokenizer.json", "tokenizer_config.json"]])
def test_a_tokenizer_without_its_vocabulary(folder: Path, files: list[str]) -> None:
    """Every prompt would generate the same image: the part is named when it is loaded."""
    for name in files:
        (folder / "tokenizer" / name).unlink()

    with pytest.raises(ModelLoadError, match=r"The tokenizer of the model .* vocabulary is missing: tokenizer\.json"):
        load(folder)


def test_a_clip_tokenizer_without_its_vocabulary(stable_diffusion: Path, tmp_path: Path) -> None:
    """Likewise for another kind of model."""
    folder = Path(shutil.copytree(stable_diffusion, tmp_path / "model"))
    for file in (folder / "tokenizer").iterdir():
        if file.name != "tokenizer_config.json":
            file.unlink()

    with pytest.raises(ModelLoadError, match=r"The tokenizer of the model .* vocabulary is missing"):
        load(folder, SD)


def test_a_tokenizer_without_its_template(folder: Path) -> None:
    """A pipeline that needs a chat template says so before it is ready."""
    (folder / "tokenizer" / "chat_template.jinja").unlink()

    with pytest.raises(ModelLoadError, match="has no chat template, which ZImagePipeline needs"):
        load(folder)


@pytest.mark.parametrize(
    ("part", "file", "prefix", "count"),
    [
        ("text_encoder", "model", "layers.1.", 11),
        ("text_encoder", "model", "", 35),
        ("transformer", "diffusion_pytorch_model", "layers.1.", 15),
        ("vae", "diffusion_pytorch_model", "decoder.mid_block.", 26),
    ],
)
def test_missing_weights_are_not_made_up(folder: Path, part: str, file: str, prefix: str, count: int) -> None:
    """The message names the part, how many are missing and the first of them."""
    change_weights(
        folder / part / f"{file}.safetensors",
        lambda weights: {
            (f"other.{name}" if name.startswith(prefix) else name): value for name, value in weights.items()
        },
    )

    with pytest.raises(ModelLoadError, match=rf"The {part} of the model .* lacks {count} of its weights \({prefix}"):
        load(folder)


def test_weights_that_are_left_over_do_no_harm(folder: Path, make_spec: MakeSpec, tiny_z_image: str) -> None:
    """A text encoder that was saved with more than is needed generates the same image."""
    change_weights(
        folder / "text_encoder" / "model.safetensors",
        lambda weights: weights | {"lm_head.weight": torch.zeros(8, 64)},
    )

    np.testing.assert_array_equal(
        generate_images(load(Path(tiny_z_image)), make_spec()), generate_images(load(folder), make_spec())
    )


def test_numbers_that_are_none_are_no_image(folder: Path, make_spec: MakeSpec) -> None:
    """NaN in the weights is found by the first generation; what turns up later fails its request, and the next may
    do."""
    backend = load(folder)
    weights = denoiser_of(backend).layers[0].feed_forward.w2.weight
    kept = weights.detach().clone()
    weights.data *= torch.nan
    with pytest.raises(GenerationFailed, match=r"no numbers \(NaN\) as \w+, so there is no image"):
        generate_images(backend, make_spec(), count=2)
    weights.data = kept
    assert generate_images(backend, make_spec()).any()

    change_weights(
        folder / "vae" / "diffusion_pytorch_model.safetensors",
        lambda weights: weights | {"decoder.conv_out.bias": torch.tensor([0.0, torch.nan, 0.0])},
    )
    with pytest.raises(ModelLoadError, match=r"cannot generate\. The model computed values that are no numbers"):
        load(folder)


def test_a_pipeline_that_generates_no_images(tmp_path: Path) -> None:
    """Videos are refused when the model is loaded."""
    make_wan(tmp_path)

    with pytest.raises(ModelLoadError, match="WanPipeline generates videos; Pipelet needs a text-to-image pipeline"):
        load(tmp_path, ModelConfig(name="wan", source=""))


@pytest.fixture(scope="module")
def kontext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kontext")
    make_kontext(folder)
    return folder


@pytest.mark.parametrize(("width", "height"), [(96, 64), (70, 130)])
def test_a_pipeline_with_sizes_of_its_own_generates_what_was_asked_for(
    kontext: Path, make_spec: MakeSpec, width: int, height: int
) -> None:
    """FLUX.1 Kontext generates a megapixel unless it is told the area: the image is that of a plain call at the
    size."""
    model = ModelConfig(name="kontext", source="", dtype="float32", max_input_images=1, requires_input_image=True)
    image = np.asarray(Image.effect_noise((64, 64), 50).convert("RGB"))
    spec = make_spec(width=width, height=height, input_images=(InputImage(key="a", width=64, height=64),))
    plain = diffusers.FluxKontextPipeline.from_pretrained(kontext, dtype=torch.float32)
    wide, high = -(-width // 16) * 16, -(-height // 16) * 16
    more: dict[str, Any] = {"image": Image.fromarray(image), "max_area": wide * high, "_auto_resize": False}

    generated = generate_images(load(kontext, model), spec, input_images=[image])

    whole = call(plain, spec, width=wide, height=high, **more)
    left, top = (wide - width) // 2, (high - height) // 2
    np.testing.assert_array_equal(whole[:, top : top + height, left : left + width], generated)


class GeneratesTwice(diffusers.StableDiffusionPipeline):  # type: ignore[misc]
    """A pipeline that doubles what it generates, and adds 16 rows above and below."""

    @functools.wraps(diffusers.StableDiffusionPipeline.__call__)  # its signature says what may be asked for
    def __call__(self, *, width, height, **more):
        output = super().__call__(width=width, height=height, **more)
        twice = torch.nn.functional.interpolate(output.images, scale_factor=2)
        output.images = torch.nn.functional.pad(twice, (0, 0, 16, 16))
        return output


def test_an_image_of_another_size_is_scaled_to_cover(
    stable_diffusion: Path, sd_backend: DiffusersBackend, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the middle of what is larger, and no error for what has other proportions: all of the image is there."""
    spec = make_spec(width=64, height=128)
    alone = generate_images(sd_backend, spec)
    monkeypatch.setattr(diffusers, "GeneratesTwice", GeneratesTwice, raising=False)

    scaled = generate_images(load(stable_diffusion, replace(SD, pipeline="GeneratesTwice")), spec)

    assert np.abs(scaled.astype(float) - alone).mean() < 10 < np.abs(scaled[:, ::-1].astype(float) - alone).mean()


@pytest.mark.parametrize(
    "words",
    [
        "MPS backend out of memory (MPS allocated: 17.9 GB)",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_every_library_has_its_own_words_for_too_little_memory(
    sd_backend: DiffusersBackend, make_spec: MakeSpec, words: str
) -> None:
    """All of them mean that a smaller part may fit; any other error is a failure."""
    backend = sd_backend

    def fail(message: str) -> None:
        raise RuntimeError(message)

    with denoiser_of(backend).register_forward_pre_hook(lambda *_: fail(words)), pytest.raises(OutOfMemory):
        generate_images(backend, make_spec())
    with (
        denoiser_of(backend).register_forward_pre_hook(lambda *_: fail("CUBLAS_STATUS_EXECUTION_FAILED")),
        pytest.raises(RuntimeError, match="EXECUTION_FAILED"),
    ):
        generate_images(backend, make_spec())


def test_memory_that_the_weights_do_not_fit_into_is_named(
    stable_diffusion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where moving the weights fails, the message says what each part takes."""

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "to", full)

    with pytest.raises(ModelLoadError, match=r"enough memory.* GiB as float32 \(unet \d.*, vae \d.*, text_encoder"):
        load(stable_diffusion, SD)


def test_an_image_that_a_safety_checker_blacked_out_is_flagged(tmp_path: Path, make_spec: MakeSpec) -> None:
    """By image, also in a batch; without a checker nothing is said."""
    make_checked(tmp_path)
    backend, out = load(tmp_path, SD), np.ones((2, 64, 64, 3), np.uint8)

    report = backend.generate(
        spec=make_spec(),
        first=0,
        count=2,
        input_images=(),
        out=out,
        on_progress=lambda done: None,
        is_cancelled=lambda: False,
    )

    assert (True, True) == report.has_nsfw_concepts
    assert not out.any()


def test_a_prompt_past_what_the_tokenizer_takes(
    stable_diffusion: Path, sd_backend: DiffusersBackend, make_spec: MakeSpec
) -> None:
    """CLIP reads 77 tokens: where the catalog names no limit the rest is refused, or cut with a note, not dropped."""
    fits, long = "a" * 75, "a" * 80
    generate_images(sd_backend, make_spec(fits))
    with pytest.raises(InvalidInput, match="has 82 tokens, and the model takes at most 77"):
        generate_images(sd_backend, make_spec(long))

    truncates, out = load(stable_diffusion, replace(SD, prompt_overflow="truncate")), np.zeros((1, 64, 64, 3), np.uint8)
    report = truncates.generate(
        spec=make_spec(long),
        first=0,
        count=1,
        input_images=(),
        out=out,
        on_progress=lambda done: None,
        is_cancelled=lambda: False,
    )
    assert ("The prompt of 80 characters was cut to 75: it has 82 tokens, and the model takes 77.",) == report.notes
    np.testing.assert_array_equal(generate_images(sd_backend, make_spec(fits)), out)


def test_the_encoder_that_reads_most_sets_the_limit(kontext: Path, make_spec: MakeSpec) -> None:
    """Of FLUX.1's two, T5's 512 tokens hold, not CLIP's 77; and what the pipeline itself would cut."""
    model = ModelConfig(name="kontext", source="", dtype="float32", max_input_images=1, requires_input_image=True)

    prompts = load(kontext, model)._prompts

    assert 512 == prompts.max_tokens
    assert {} == prompts.arguments(make_spec("a " * 200))


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "int8", "complex64"])
def test_types_that_nothing_is_loaded_as(folder: Path, dtype: str) -> None:
    """Refused before loading, with those that there are."""
    with pytest.raises(ModelLoadError, match=f"not loaded as {dtype}. Set .* to auto, bfloat16, float16 or float32"):
        load(folder, replace(TINY, dtype=dtype))


def test_z_image_is_not_loaded_as_float16(folder: Path) -> None:
    """Its values overflow, and its images would be black."""
    with pytest.raises(ModelLoadError, match=r"too large for float16.*bfloat16 or float32"):
        load(folder, replace(TINY, dtype="float16"))


def test_weights_in_pickles_only_where_the_catalog_allows(
    stable_diffusion: Path, sd_backend: DiffusersBackend, tmp_path: Path, make_spec: MakeSpec
) -> None:
    """Otherwise the file and the field are named."""
    folder = Path(shutil.copytree(stable_diffusion, tmp_path / "model"))
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()

    with pytest.raises(ModelLoadError, match=r"unet .* pickle \(diffusion_pytorch_model\.bin\).*allow_pickle = true"):
        load(folder, SD)
    np.testing.assert_array_equal(
        generate_images(sd_backend, make_spec()),
        generate_images(load(folder, replace(SD, allow_pickle=True)), make_spec()),
    )


def test_a_variant_is_named_and_taken(
    stable_diffusion: Path, sd_backend: DiffusersBackend, tmp_path: Path, make_spec: MakeSpec
) -> None:
    """A folder that holds a variant of the weights only is not incomplete: the field that takes it is named."""
    folder = tmp_path / "model"
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(stable_diffusion)
    pipe.save_pretrained(folder, variant="fp16")

    with pytest.raises(ModelLoadError, match=r'comes in the variant fp16 only. Set variant = "fp16" in the entry'):
        load(folder, SD)
    np.testing.assert_array_equal(
        generate_images(sd_backend, make_spec()),
        generate_images(load(folder, replace(SD, variant="fp16")), make_spec()),
    )


def test_a_pipeline_of_its_own_code_is_not_run(folder: Path) -> None:
    """The message names the file and the field."""
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_class_name": ["pipeline_mine", "MinePipeline"]}))

    with pytest.raises(ModelLoadError, match=r"own code \(pipeline_mine\.py\), which Pipelet does not run"):
        load(folder, replace(TINY, pipeline="auto"))
