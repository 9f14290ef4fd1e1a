"""What the weights are loaded as."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelet.domain.errors import ModelLoadError
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.devices import dtype_of, native_dtype, notes_on
from tests.engine.diffusers.calls import denoiser_of
from tests.engine.diffusers.tiny_models.z_image import TINY

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_bfloat16_is_for_what_computes_with_it() -> None:
    """A GPU, and a CPU that says so among its instructions; float32 on all others, where it is the faster by far."""
    native = {"avx512bw", "avx_ne_convert", "bf16"} & set(Path("/proc/cpuinfo").read_text("ascii").split())

    assert torch.bfloat16 == native_dtype(GPU)
    assert (torch.bfloat16 if native else torch.float32) == native_dtype(CPU)


def test_a_gpu_that_only_imitates_bfloat16_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before Ampere say that they support it; the operator is told what to choose instead."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)

    assert torch.float32 == native_dtype(GPU)
    assert "Tesla T4) does not compute with bfloat16" in notes_on(TINY, GPU)[0]
    assert () == notes_on(replace(TINY, dtype="bfloat16"), GPU)


def test_the_catalog_may_say_the_type(tiny_z_image: str) -> None:
    """Whatever the device computes with best."""
    for named in (torch.float32, torch.bfloat16):
        model = replace(TINY, dtype=str(named).removeprefix("torch."))
        backend = DiffusersBackend.load(model=model, source=tiny_z_image, device="cpu")

        assert {named} == {weight.dtype for weight in denoiser_of(backend).parameters()}
        assert named == dtype_of(model, "ZImagePipeline", GPU)


def test_a_pipeline_that_takes_bfloat16_alone_gets_it() -> None:
    """On any CPU; also where only its edits need it."""
    assert torch.bfloat16 == dtype_of(TINY, "ZImageOmniPipeline", CPU)
    editing = replace(TINY, edit_pipeline="ZImageOmniPipeline", max_input_images=2)
    assert torch.bfloat16 == dtype_of(editing, "ZImagePipeline", CPU)


@pytest.mark.parametrize("unknown", ["bf16", "nn", "Tensor"])
def test_a_type_that_does_not_exist_is_named(tiny_z_image: str, unknown: str) -> None:
    """Before anything is loaded."""
    with pytest.raises(ModelLoadError, match=f"torch has no type {unknown}. Set the catalog's `dtype` to auto"):
        DiffusersBackend.load(model=replace(TINY, dtype=unknown), source=tiny_z_image, device="cpu")
