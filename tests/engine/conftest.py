from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import ImageSpec, OutputFormat
from pipelet.domain.ports.engine import MicroBatch
from pipelet.engine.engine_process import EngineProcess
from tests.engine.calls import EngineOf, MakePart, MakeSpec, Pixels
from tests.support.fork_server import children

BACKENDS = "tests.support.backends"


@pytest.fixture
def make_spec() -> MakeSpec:
    def make(prompt: str = "a red fox", **changes: Any) -> ImageSpec:
        values: dict[str, Any] = {
            "negative_prompt": None,
            "width": 64,
            "height": 64,
            "batch_size": 1,
            "seed": 7,
            "num_inference_steps": 4,
            "guidance_scale": 0.0,
            "output_format": OutputFormat.PNG,
        }
        return ImageSpec(prompt=prompt, **(values | changes))

    return make


@pytest.fixture
def make_part(make_spec: MakeSpec) -> MakePart:
    def make(
        prompt: str = "a red fox",
        *,
        first: int = 0,
        count: int = 1,
        input_images: Sequence[Pixels] = (),
        **changes: Any,
    ) -> MicroBatch:
        return MicroBatch(
            job_id="rn5r12q9pdu6yvb3nxty",
            spec=make_spec(prompt, **changes),
            first=first,
            count=count,
            input_images=tuple(pixels.data for pixels in input_images),
        )

    return make


@pytest.fixture
def forked() -> Iterator[None]:
    """Engines are forked from a process that has made their imports."""
    with children.installed():
        yield


@pytest.fixture
def forked_with_torch(forked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of torch and diffusers, too."""
    monkeypatch.setenv(children.WITH_TORCH, "1")


@pytest.fixture
def engine_of(forked: None) -> EngineOf:
    """An engine with a backend of `tests.support.backends`; its process is gone after the test."""
    return _opened


@pytest.fixture
def cold_engine_of() -> EngineOf:
    """An `engine_of` whose process is a new interpreter, as outside of tests."""
    return _opened


@asynccontextmanager
async def _opened(backend: str, **options: float) -> AsyncIterator[EngineProcess]:
    engine = EngineProcess(
        model=ModelConfig(name="zoo", source="zoo", backend=f"{BACKENDS}.{backend}"),
        source="zoo",
        load_timeout=options.get("load_timeout", 20.0),
        stall_timeout=options.get("stall_timeout", 20.0),
    )
    try:
        yield engine
    finally:
        await engine.stop()
