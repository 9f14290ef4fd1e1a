"""BentoML's own task queue: `bentoml serve benchmarks.peers.bentoml_tasks:Pictures`."""

import os
from typing import Annotated

import bentoml
from bentoml.validators import ContentType

from benchmarks.peers.handler import generate


@bentoml.service(threads=int(os.environ["BENCHMARK_WORKERS"]), traffic={"timeout": 3600})
class Pictures:
    @bentoml.task
    def generate(self, number: int) -> Annotated[bytes, ContentType("image/png")]:
        # Not as a `Path`: with this starlette the answer of a task cannot be a file (KeyError: 'method').
        return generate(number)
