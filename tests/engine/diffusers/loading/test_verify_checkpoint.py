import json
import shutil

import pytest

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import ModelLoadError
from pipelet.engine.diffusers.backend import DiffusersBackend
from pipelet.engine.diffusers.loading import verify_checkpoint
from pipelet.engine.sources import resolve


@pytest.fixture
def folder(tmp_path):
    """A copy of the demo checkpoint, to be broken."""
    return shutil.copytree(resolve("package:demo"), tmp_path / "model")


def load(folder, pipeline="auto"):
    model = ModelConfig(name="m", source=str(folder), pipeline=pipeline)
    return DiffusersBackend.load(model=model, source=str(folder), device="cpu")


def test_a_folder_is_itself_and_a_hub_id_is_left_to_the_hub(folder):
    """check returns the folder, or None for what can only be a hub id."""
    assert str(folder) == verify_checkpoint.check(str(folder))
    assert verify_checkpoint.check("Tongyi-MAI/Z-Image-Turbo") is None


def test_only_packaged_sources_are_resolved(folder):
    """`package:demo` becomes a folder with a checkpoint; anything else stays as it is."""
    assert verify_checkpoint.pipeline_class_name(resolve("package:demo")) == "ZImagePipeline"
    assert resolve("Tongyi-MAI/Z-Image") == "Tongyi-MAI/Z-Image"
    assert resolve(str(folder)) == str(folder)


@pytest.mark.parametrize("source", ["/no/such/folder", "./model", "~/nowhere/at/all", "models/a/b", "turbo"])
def test_a_missing_folder(source):
    """The message names the folder and the setting that points at it."""
    with pytest.raises(ModelLoadError, match=rf"no model folder {source}\. Point PIPELET_MODEL"):
        load(source)


def test_a_folder_that_is_no_checkpoint(tmp_path):
    """A folder without model_index.json is said to be one."""
    with pytest.raises(ModelLoadError, match=r"has no model_index\.json\. Point PIPELET_MODEL at a diffusers folder"):
        load(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", "\xff"])
def test_an_index_that_cannot_be_read(folder, content):
    """A model_index.json that is not JSON, or names no class, is named."""
    (folder / "model_index.json").write_bytes(content.encode("latin-1"))

    with pytest.raises(ModelLoadError, match=r"model_index\.json does not name a pipeline"):
        load(folder)


@pytest.mark.parametrize("keep", [0, 4, 1000, -1])
def test_weights_that_were_cut_short(folder, keep):
    """A truncated file is found before anything is loaded, and named."""
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])

    with pytest.raises(ModelLoadError, match=r"transformer/diffusion_pytorch_model\.safetensors is damaged"):
        load(folder)


def test_a_class_that_diffusers_does_not_have(folder):
    """An unknown class is named, whether the checkpoint or the catalog names it."""
    with pytest.raises(ModelLoadError, match="has no pipeline class ZImageUltraPipeline"):
        load(folder, "ZImageUltraPipeline")
    with pytest.raises(ModelLoadError, match="has no pipeline class AutoencoderKL"):
        load(folder, "AutoencoderKL")

    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "NextYearPipeline"}))
    with pytest.raises(ModelLoadError, match="has no pipeline class NextYearPipeline"):
        load(folder)


def test_a_missing_part(folder):
    """What diffusers itself finds missing is named in its words."""
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()

    with pytest.raises(ModelLoadError, match=r"folder .*/model is incomplete, .*diffusion_pytorch_model"):
        load(folder)


def test_a_pointer_that_nothing_reads_is_passed_over(folder):
    """`git lfs pull --include "*.safetensors"` leaves the other forms of the weights as pointers."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 11422654\n"
    (folder / "all-in-one.ckpt").write_text(pointer)
    (folder / "vae" / "diffusion_pytorch_model.bin").write_text(pointer)

    assert str(folder) == verify_checkpoint.check(str(folder))


def test_a_pointer_of_git_lfs_is_not_a_damaged_file(folder):
    """A clone without LFS has pointers in place of large files: downloading it again in that way would not help."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 11422654\n"
    (folder / "tokenizer" / "tokenizer.json").write_text(pointer)

    with pytest.raises(ModelLoadError, match=r"tokenizer\.json is a pointer of Git LFS.*`git lfs pull`"):
        load(folder)


def test_a_damaged_json_file_is_no_wrong_class(folder):
    """What is no JSON is said to be damaged."""
    (folder / "scheduler" / "scheduler_config.json").write_text("{")
    with pytest.raises(ModelLoadError, match=r"incomplete|damaged"):
        load(folder)
    (folder / "tokenizer" / "tokenizer_config.json").write_text("{")
    with pytest.raises(ModelLoadError, match=r"incomplete|damaged"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("model.safetensors", r"Convert it once, as docs/models/single-file\.md"),
        ("sd.ckpt", r"Convert it once, as docs/models/single-file\.md"),
        ("z_image_turbo-Q4_K_M.gguf", "Take a copy of the whole model"),
    ],
)
def test_a_single_file_is_refused_with_what_to_do(tmp_path, name, cure):
    """Many models are published so."""
    (tmp_path / name).write_bytes(b"")

    with pytest.raises(ModelLoadError, match=rf"{name} is a single file .*{cure}"):
        load(tmp_path / name)


def test_a_model_in_the_cache_of_the_hub_is_its_snapshot(folder, tmp_path):
    """The folder of a model there holds snapshots: the one that the main branch names is taken, or the only one."""
    cached = tmp_path / "models--owner--name"
    first, second = (cached / "snapshots" / commit for commit in ("aaa", "bbb"))
    shutil.copytree(folder, first)
    assert str(first) == verify_checkpoint.check(str(cached))

    shutil.copytree(folder, second)
    with pytest.raises(ModelLoadError, match="2 snapshots"):
        verify_checkpoint.check(str(cached))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("bbb")
    assert str(second) == verify_checkpoint.check(str(cached))


def test_absent_parts_are_named(folder):
    """A folder that the index names, and a file that the index of its weights names."""
    shutil.rmtree(folder / "vae")
    (folder / "transformer" / "a.safetensors.index.json").write_text(
        '{"weight_map": {"x": "a-00001-of-00002.safetensors"}}'
    )

    with pytest.raises(ModelLoadError, match=r"it lacks vae, transformer/a-00001-of-00002\.safetensors"):
        load(folder)


def test_a_part_that_the_pipeline_does_not_take_may_be_absent(folder):
    """Indices of older copies name parts that the class no longer has."""
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"watermarker": ["diffusers", "Watermarker"]}))

    load(folder)


def test_a_vocabulary_without_its_merges(folder):
    """A byte-pair tokenizer would split words into letters, and the model read another prompt."""
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"tokenizer": ["transformers", "Qwen2Tokenizer"]}))
    (folder / "tokenizer" / "tokenizer.json").rename(folder / "tokenizer" / "vocab.json")

    with pytest.raises(ModelLoadError, match=r"it lacks tokenizer/merges\.txt"):
        load(folder)
