from contextlib import asynccontextmanager

import pytest

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import ImageSpec, OutputFormat
from pipelet.domain.ports.engine import MicroBatch
from pipelet.engine.process import EngineProcess

ZOO = "tests.support.backends"


@pytest.fixture
def make_spec():
    def make(prompt="a red fox", **changes):
        values = {
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
def make_part(make_spec):
    def make(prompt="a red fox", *, first=0, count=1, input_images=(), **changes):
        return MicroBatch(
            job_id="rn5r12q9pdu6yvb3nxty",
            spec=make_spec(prompt, **changes),
            first=first,
            count=count,
            input_images=tuple(map(memoryview, input_images)),
        )

    return make


@pytest.fixture
def engine_of():
    """An engine with a backend of the zoo; its process is gone after the test."""

    @asynccontextmanager
    async def opened(animal, **options):
        engine = EngineProcess(
            model=ModelConfig(name="zoo", source="zoo", backend=f"{ZOO}.{animal}"),
            source="zoo",
            **({"load_timeout": 20.0, "stall_timeout": 20.0} | options),
        )
        try:
            yield engine
        finally:
            await engine.stop()

    return opened
