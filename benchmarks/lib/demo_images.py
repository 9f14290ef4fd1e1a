"""Images of prompts at 256 by 256: from a running service, or from a model's folder with nothing around it.

Either way the image of the first prompt has seed 0, the next one seed 1, and so on, so that both give the same ones.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.lib.service import APP, scratch, serving
from pipelet.client import Client
from pipelet.engine.sources import resolve
from pipelet.settings import Settings
from pipelet.wiring.catalog import read_catalog
from training.judge import Picture

SIDE = 256
STEPS = 8
DEMO = "demo"


def drawn(prompts: Sequence[str], *, model: str = DEMO, direct: bool = False) -> Iterator[Picture]:
    """Generate them one after the other; `model` is a folder, or `demo` for the demo model."""
    pictures = _directly(prompts, model) if direct else _through_the_service(prompts, model)
    for number, picture in enumerate(pictures, 1):
        if sys.stderr.isatty():
            print(f"\r{number} of {len(prompts)} drawn", end="" if number < len(prompts) else "\n", file=sys.stderr)
        yield picture


def _guidance() -> float:
    return read_catalog(Settings()).models[DEMO].guidance_scale


def _through_the_service(prompts: Sequence[str], model: str) -> Iterator[Picture]:
    settings = {"OMP_NUM_THREADS": "1", "PIPELET_MODEL": model if model == DEMO else str(Path(model).resolve())}
    with (
        scratch() as folder,
        serving(folder / "data", settings=settings) as service,
        Client(f"http://127.0.0.1:{service.port}", service.key) as client,
    ):
        # A folder that the catalog does not know generates like the demo model.
        how = {"num_inference_steps": STEPS, "guidance_scale": _guidance()}
        sent = [
            client.submit(APP, prompt=prompt, width=SIDE, height=SIDE, seed=number, **how).request_id
            for number, prompt in enumerate(prompts)
        ]
        for request_id in sent:
            client.wait(request_id, poll=0.05)
            [path] = client.download(client.result(request_id), folder / "pictures")
            yield np.asarray(Image.open(path).convert("RGB"))


def _directly(prompts: Sequence[str], model: str) -> Iterator[Picture]:
    import torch  # only here: the service has it in a process of its own
    from diffusers import ZImagePipeline
    from diffusers.utils import logging
    from transformers.utils import logging as more_logging

    from pipelet.engine.diffusers.devices import native_dtype

    torch.set_num_threads(1)
    logging.disable_progress_bar()
    more_logging.disable_progress_bar()
    folder = resolve("package:demo") if model == DEMO else model
    guidance = _guidance()
    pipe = ZImagePipeline.from_pretrained(folder, dtype=native_dtype(torch.device("cpu")))
    pipe.set_progress_bar_config(disable=True)
    for number, prompt in enumerate(prompts):
        yield np.asarray(
            pipe(
                prompt=[prompt],
                width=SIDE,
                height=SIDE,
                num_inference_steps=STEPS,
                guidance_scale=guidance,
                generator=[torch.Generator("cpu").manual_seed(number)],
            ).images[0]
        )
