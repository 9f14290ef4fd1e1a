"""What the weights are loaded as."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.engine.tiny_z_image import TINY

from pipelet.domain.errors import ModelUnusable
from pipelet.engine.devices import dtype_of, notes_on, quick_dtype
from pipelet.engine.diffusers import DiffusersModel

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_bfloat16_is_for_what_computes_with_it():
    """A GPU, and a CPU that says so among its instructions; float32 on all others, where it is the faster by far."""
    native = {"avx512bw", "avx_ne_convert", "bf16"} & set(Path("/proc/cpuinfo").read_text("ascii").split())

    assert torch.bfloat16 == quick_dtype(GPU)
    assert (torch.bfloat16 if native else torch.float32) == quick_dtype(CPU)


def test_a_gpu_that_only_imitates_bfloat16_gets_float32(monkeypatch):
    """Those before Ampere say that they support it; the operator is told what to choose instead."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)

    assert torch.float32 == quick_dtype(GPU)
    assert "Tesla T4) does not compute with bfloat16" in notes_on(TINY, GPU)[0]
    assert () == notes_on(replace(TINY, dtype="bfloat16"), GPU)


def test_the_catalog_may_say_the_type(tiny_z_image):
    """Whatever the device computes with best."""
    for named in (torch.float32, torch.bfloat16):
        model = replace(TINY, dtype=str(named).removeprefix("torch."))
        painter = DiffusersModel.load(model=model, source=tiny_z_image, device="cpu", threads=1)

        assert {named} == {weight.dtype for weight in painter._denoiser.parameters()}
        assert named == dtype_of(model, "ZImagePipeline", GPU)


def test_a_pipeline_that_takes_bfloat16_alone_gets_it():
    """On any CPU; also where only its edits need it."""
    assert torch.bfloat16 == dtype_of(TINY, "ZImageOmniPipeline", CPU)
    editing = replace(TINY, edit_pipeline="ZImageOmniPipeline", max_references=2)
    assert torch.bfloat16 == dtype_of(editing, "ZImagePipeline", CPU)


@pytest.mark.parametrize("unknown", ["bf16", "nn", "Tensor"])
def test_a_type_that_does_not_exist_is_named(tiny_z_image, unknown):
    """Before anything is loaded."""
    with pytest.raises(ModelUnusable, match=f"torch has no type {unknown}. Set the catalog's `dtype` to auto"):
        DiffusersModel.load(model=replace(TINY, dtype=unknown), source=tiny_z_image, device="cpu", threads=1)
