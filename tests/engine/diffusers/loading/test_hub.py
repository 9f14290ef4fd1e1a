"""A model that is fetched from a hub, on the loopback interface."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from diffusers import AutoencoderTiny

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.preview import PreviewPixels
from pipelet.engine.engine_process import EngineProcess
from pipelet.engine.sources import resolve
from pipelet.settings import load
from pipelet.wiring.catalog import fetch_description, read_catalog
from tests.engine.calls import MakePart, ignore
from tests.engine.diffusers.loading.fake_hub import COMMIT, fake_hub

DEMO = Path(resolve("package:demo"))
FETCH = """
import sys, time
time.sleep = lambda seconds: None  # the client waits between its attempts, for 23 seconds in all
from pipelet.domain.errors import ModelLoadError
from pipelet.engine.diffusers.loading import hub
for source in sys.argv[1:]:
    try:
        print(hub.fetch(source))
    except ModelLoadError as error:
        print(error)
"""


async def fetch(*sources: str, **environment: str) -> list[str]:
    """What fetching says, in a process of its own: the client of the hub reads its environment once."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FETCH, *sources),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    printed, _ = await process.communicate()
    return printed.decode().splitlines()


async def test_what_the_hub_refuses_is_said_with_the_cure(tmp_path: Path) -> None:
    """Gated, unknown, no such revision, no such file, offline: each in one line of its own."""
    async with fake_hub(DEMO) as hub:
        online = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)}
        gated, unknown, revision, bare = await fetch(
            "owner/gated", "owner/mispelt", "owner/model@v9", "owner/bare", **online
        )
        (offline,) = await fetch("owner/model", HF_HUB_OFFLINE="1", **online)

    assert f"owner/gated is gated: accept its licence at {hub.url}/owner/gated, then set HF_TOKEN" in gated
    assert "owner/mispelt is neither a folder here nor a model that the hub shows. Check the spelling" in unknown
    assert "owner/model has no revision v9 on the hub" in revision
    assert "owner/bare has no model_index.json on the hub" in bare
    assert f"owner/model is not complete in the cache {tmp_path}/hub, and HF_HUB_OFFLINE is set" in offline


async def test_a_model_of_the_hub_is_pinned_to_its_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_z_image: str, decoder: Path, make_part: MakePart
) -> None:
    """`owner/name@commit` loads that commit of a model, and of a decoder for its previews, and asks for files of no
    other."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    model = _with_decoder(tmp_path, f"owner/decoder@{COMMIT}")
    async with fake_hub(Path(tiny_z_image), decoder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        engine = EngineProcess(model=model, source=f"owner/model@{COMMIT}", device="cpu")
        made = await _previews(engine, make_part)

    assert {(64, 128, 3)} == {each.pixels.shape for each in made}
    for name in ("model", "decoder"):
        snapshots = tmp_path / "hub" / f"models--owner--{name}" / "snapshots"
        assert [COMMIT] == [path.name for path in snapshots.iterdir()]
    assert not [request.target for request in hub.requests if "/main/" in request.target]


async def test_a_proxy_at_fault_is_named(tmp_path: Path) -> None:
    """Without its password: the client of the hub goes by the environment, as other programs do."""
    dead = "http://me:hush@127.0.0.1:9"
    (said,) = await fetch("owner/model", HF_ENDPOINT="http://hub.example.com", HF_HOME=str(tmp_path), HTTP_PROXY=dead)

    assert "Check the connection to http://hub.example.com by the proxy http://127.0.0.1:9 (HTTP_PROXY)" in said
    assert "hush" not in said


async def test_a_model_of_the_hub_is_recognized_at_its_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two small files that are fetched before the rest: its second start would know it by its files."""
    model = tmp_path / "model"
    (model / "scheduler").mkdir(parents=True)
    (model / "model_index.json").write_text('{"_class_name": "ZImagePipeline"}')
    (model / "scheduler" / "scheduler_config.json").write_text('{"shift": 3.0}')
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    settings = load(model="owner/model")
    async with fake_hub(model) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        await asyncio.to_thread(fetch_description, settings)

    assert "z-image-turbo" == read_catalog(settings).models["owner/model"].like


@pytest.mark.usefixtures("forked_with_torch")
async def test_a_catalog_entry_names_a_decoder_for_previews(
    decoder: Path, tiny_z_image: str, tmp_path: Path, make_part: MakePart
) -> None:
    """An `AutoencoderTiny` in a folder, for latents of Z-Image: the operator's entry names it alone, and previews have
    its eight pixels a latent."""
    engine = EngineProcess(model=_with_decoder(tmp_path, str(decoder)), source=tiny_z_image, device="cpu")

    assert {(64, 128, 3)} == {each.pixels.shape for each in await _previews(engine, make_part)}


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    folder = tmp_path / "decoder"
    AutoencoderTiny(
        latent_channels=16,
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    ).save_pretrained(folder)
    return folder


def _with_decoder(folder: Path, name: str) -> ModelConfig:
    catalog = folder / "catalog.toml"
    catalog.write_text(f'[models.z-image-turbo]\npreview_decoder = "{name}"\n')
    return read_catalog(load(catalog=catalog)).models["z-image-turbo"]


async def _previews(engine: EngineProcess, make_part: MakePart) -> list[PreviewPixels]:
    """Of one generation. The engine is started for it, and stopped."""
    made: list[PreviewPixels] = []
    try:
        await engine.start()
        part = make_part(width=128, height=64, num_inference_steps=8)
        engine.request_previews(part.job_id, 60)
        (await engine.generate(part, ignore, made.append)).release()
    finally:
        await engine.stop()
    return made
