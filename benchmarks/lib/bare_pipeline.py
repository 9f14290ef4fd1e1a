"""diffusers alone, as a script would call it: a line of JSON with arguments in, a line with seconds out."""

import json
import os
import sys
import time
from typing import Any

import numpy as np
import torch
from diffusers import ZImagePipeline
from diffusers.utils import logging

from pipelet.engine.diffusers.devices import native_dtype


def main() -> None:
    source, device = sys.argv[1], torch.device(sys.argv[2])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    logging.disable_progress_bar()
    pipe = ZImagePipeline.from_pretrained(source, dtype=native_dtype(device)).to(device)
    pipe.set_progress_bar_config(disable=True)
    for line in sys.stdin:
        print(json.dumps(_seconds(pipe, **json.loads(line))), flush=True)


def _seconds(pipe: Any, *, seed: int, batch_size: int, prompt: str, save: str | None, **arguments: Any) -> float:
    began = time.perf_counter()
    generators = [torch.Generator("cpu").manual_seed(seed + k) for k in range(batch_size)]
    # As images in memory, so that what a GPU still does is waited for.
    images = pipe(prompt=[prompt] * batch_size, generator=generators, **arguments).images
    seconds = time.perf_counter() - began
    if save is not None:
        np.save(save, np.stack([np.asarray(image) for image in images]))
    return seconds


if __name__ == "__main__":
    main()
