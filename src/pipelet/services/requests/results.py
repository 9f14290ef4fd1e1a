"""Result document of a finished request, which the API returns and webhooks carry."""

from collections.abc import Sequence
from typing import Any

from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.blobs import BlobStore


def images_of(job: Job, blobs: BlobStore, *, now: float, base_url: str) -> list[dict[str, Any]]:
    """The finished images of `job` as JSON objects. Their URLs are signed for a limited time from `now`."""
    return [
        {
            "url": blobs.signed_url(image.key, now=now, base_url=base_url),
            "file_name": image.file_name,
            "content_type": image.content_type,
            "file_size": image.file_size,
            "width": image.width,
            "height": image.height,
            "seed": image.seed,
        }
        for image in job.images
    ]


def result_document(job: Job, images: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The result of a succeeded `job`; `images` come from `images_of`."""
    urls = [image["url"] for image in images]
    return {
        "image": {"data_uri": urls[0], "file_name": images[0]["file_name"]},
        "results": urls,
        "images": images,
        "seed": job.spec.seed,
        "prompt": job.spec.prompt,
        "has_nsfw_concepts": [image.has_nsfw_concepts for image in job.images],
        "timings": {"inference": job.inference_seconds},
    }
