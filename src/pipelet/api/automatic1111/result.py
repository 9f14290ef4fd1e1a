"""The response with the images, and what clients read of the parameters that they were made with."""

from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from pipelet.api.automatic1111.input import SAMPLER
from pipelet.api.errors import as_json
from pipelet.api.results.base64_images import Pieces
from pipelet.domain.catalog import Catalog
from pipelet.domain.jobs.job import Job


def result_pieces(job: Job, catalog: Catalog, *, send_images: bool) -> Pieces:
    pieces: Pieces = [b'{"images":[']
    for number, image in enumerate(job.images if send_images else ()):
        pieces += [b',"' if number else b'"', image, b'"']
    info = to_json(info_document(job, catalog)).decode()
    return [*pieces, b"]," + as_json({"parameters": parameters_of(job), "info": info})[1:]]


def parameters_of(job: Job) -> dict[str, Any]:
    """The parameters with their names in this API."""
    spec = job.spec
    found: dict[str, Any] = {
        "prompt": spec.prompt,
        "negative_prompt": spec.negative_prompt or "",
        "seed": spec.seed,
        "steps": spec.num_inference_steps,
        "cfg_scale": spec.guidance_scale,
        "width": spec.width,
        "height": spec.height,
        "batch_size": spec.batch_size,
        "n_iter": 1,
        "sampler_name": SAMPLER,
    }
    return found if spec.strength is None else found | {"denoising_strength": spec.strength}


def info_document(job: Job, catalog: Catalog) -> dict[str, Any]:
    """What the WebUI writes about its images. Lists have an entry for each image."""
    parameters, count = parameters_of(job), len(job.images)
    seeds = [image.seed for image in job.images]
    model = catalog.model_of(catalog.apps[job.app]).name if job.app in catalog.apps else job.model
    timestamp = datetime.fromtimestamp(job.finished_at or job.submitted_at, UTC).strftime("%Y%m%d%H%M%S")
    return {
        **parameters,
        "all_prompts": [parameters["prompt"]] * count,
        "all_negative_prompts": [parameters["negative_prompt"]] * count,
        "all_seeds": seeds,
        "subseed": -1,
        "all_subseeds": [-1] * count,
        "subseed_strength": 0,
        "sd_model_name": model,
        "sd_model_hash": None,
        "index_of_first_image": 0,
        "infotexts": [_infotext(parameters, seed, model) for seed in seeds],
        "job_timestamp": timestamp,
        "extra_generation_params": {},
    }


def _infotext(parameters: dict[str, Any], seed: int, model: str) -> str:
    lines = [parameters["prompt"]]
    if parameters["negative_prompt"]:
        lines.append(f"Negative prompt: {parameters['negative_prompt']}")
    lines.append(
        f"Steps: {parameters['steps']}, Sampler: {SAMPLER}, CFG scale: {parameters['cfg_scale']:g}, Seed: {seed}, "
        f"Size: {parameters['width']}x{parameters['height']}, Model: {model}"
    )
    return "\n".join(lines)
