"""The document that a finished request comes to: read from the API, and sent to webhooks."""

from collections.abc import Sequence
from typing import Any

from pipelet.domain.job import Job
from pipelet.domain.ports import BlobStore


def images_of(job: Job, blobs: BlobStore, *, now: float, base_url: str) -> list[dict[str, Any]]:
    """Those that are finished, as JSON's types. URLs are signed for a limited time from `now`."""
    return [
        {
            "url": blobs.url(image.key, now=now, base_url=base_url),
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
    """Of a job that succeeded, with its `images_of`."""
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
