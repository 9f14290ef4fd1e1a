from contextlib import asynccontextmanager

import pytest

from pipelet.domain.catalog import Model
from pipelet.domain.engine import Part
from pipelet.domain.image import ImageSpec, OutputFormat
from pipelet.engine.process import EngineProcess

ZOO = "tests.engine.zoo"


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
    def make(prompt="a red fox", *, first=0, count=1, references=(), **changes):
        return Part(
            job_id="rn5r12q9pdu6yvb3nxty",
            spec=make_spec(prompt, **changes),
            first=first,
            count=count,
            references=tuple(map(memoryview, references)),
        )

    return make


@pytest.fixture
def engine_of():
    """An engine with a painter of the zoo; its process is gone after the test."""

    @asynccontextmanager
    async def opened(animal, **options):
        engine = EngineProcess(
            model=Model(name="zoo", source="zoo", painter=f"{ZOO}.{animal}"),
            source="zoo",
            **({"load_timeout": 20.0, "stall_timeout": 20.0} | options),
        )
        try:
            yield engine
        finally:
            await engine.stop()

    return opened
