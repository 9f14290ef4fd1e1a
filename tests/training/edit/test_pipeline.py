"""The exported model in diffusers' own pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLFlux2

from training import text
from training.edit import export, latents
from training.edit.autoencoder import new_autoencoder
from training.edit.model import LENGTH, EditModel, position_ids
from training.edit.scenes import Picture
from training.edit.transformer import reading

CAPTION = "the girl from the first image is playing chess with the girl from the second image"


@pytest.fixture(scope="module")
def model() -> EditModel:
    torch.manual_seed(0)
    tokenizer = text.new_tokenizer(reading(latents.scene(number) for number in range(300)))
    made = EditModel.new(tokenizer, blocks=(1, 1))
    torch.nn.init.normal_(made.transformer.proj_out.weight, std=0.02)
    return made


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLFlux2:
    made = new_autoencoder((8,) * 5).eval()
    made.bn.running_mean.normal_()
    made.bn.running_var.uniform_(0.5, 2)
    return made


def noise(seed: int) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (128, 128, 3), np.uint8)


@pytest.mark.parametrize("count", range(4))
def test_the_pipeline_feeds_the_transformer_as_training_did(
    model: EditModel, vae: AutoencoderKLFlux2, count: int
) -> None:
    """The same positions, the same words, and the same latents of the references, for none to three of them."""
    pipe = export.assemble(model, vae)
    calls: list[dict[str, Any]] = []
    pipe.transformer.register_forward_pre_hook(lambda _, __, asked: calls.append(asked), with_kwargs=True)
    references = [noise(seed) for seed in range(count)]

    export.generate(pipe, references, CAPTION, seed=0)

    picture_ids, text_ids = position_ids(count)
    assert torch.equal(calls[0]["img_ids"], picture_ids)
    assert torch.equal(calls[0]["txt_ids"], text_ids)
    with torch.no_grad():
        words = model.words(*model.tokens([CAPTION]))
    torch.testing.assert_close(calls[0]["encoder_hidden_states"], words, atol=1e-5, rtol=1e-5)
    assert calls[0]["hidden_states"].shape[1] == 64 + 16 * count
    if count:
        tokens = latents.normalised(vae, latents.encode(vae, references)).flatten(0, 1)
        # Training encodes in bfloat16 where the processor has it.
        torch.testing.assert_close(calls[0]["hidden_states"][0, 64:], tokens, atol=0.1, rtol=0.05)


def test_an_exported_folder_loads_unmodified(model: EditModel, vae: AutoencoderKLFlux2, tmp_path: Path) -> None:
    """`Flux2KleinPipeline.from_pretrained` reads it, and generates from three references what the model generated
    before, up to the precision that it is kept in."""
    export.export(model, vae, tmp_path)
    references = [noise(seed) for seed in range(3)]

    image = export.generate(export.load(tmp_path), references, CAPTION, seed=1)

    expected = export.generate(export.assemble(model, vae), references, CAPTION, seed=1)
    assert image.shape == (256, 256, 3)
    assert np.abs(image.astype(float) - expected).mean() < 8
    assert (tmp_path / "NOTICE").exists()


def test_captions_fit_the_length_that_the_model_is_trained_with(model: EditModel) -> None:
    """The document's example leaves room for more."""
    _, real = model.tokens([f"{CAPTION}, on the ancient table from the third image."])

    assert real.sum() < LENGTH * 0.7
