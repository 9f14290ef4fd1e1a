"""Jobs for tests, and a clock that tests set."""

from dataclasses import dataclass
from typing import Any

from pipelet.domain.accounts.api_keys import ApiKey, hash_secret
from pipelet.domain.capacity.cost_model import spec_work
from pipelet.domain.generation.image import ImageSpec, OutputFormat, StoredImage
from pipelet.domain.ids import new_request_id, new_token
from pipelet.domain.jobs.job import ClaimRequest, Job
from pipelet.domain.jobs.outcome import Succeeded
from pipelet.domain.webhooks.delivery import Webhook

APP = "z-image-text-to-image"
EDIT = "z-image-image-edit"
"""The catalog's apps: one generates from words alone, the other edits images."""


@dataclass
class FakeClock:
    """The time is what a test says it is."""

    time: float = 1_000_000.0

    def now(self) -> float:
        return self.time


def make_spec(**changes: Any) -> ImageSpec:
    fields: dict[str, Any] = {
        "prompt": "a red apple on a light blue background",
        "negative_prompt": None,
        "width": 96,
        "height": 64,
        "batch_size": 1,
        "seed": 42,
        "num_inference_steps": 8,
        "guidance_scale": 0.0,
        "output_format": OutputFormat.PNG,
    }
    return ImageSpec(**fields | changes)


def make_job(
    *,
    priority: int = 0,
    app: str = APP,
    user: str = "ann",
    submitted_at: float = 1_000_000.0,
    key: ApiKey | None = None,
    webhook: Webhook | None = None,
    **spec: Any,
) -> Job:
    wanted = make_spec(**spec)
    return Job(
        id=new_request_id(),
        app=app,
        user=user,
        priority=priority,
        spec=wanted,
        work=spec_work(wanted),
        submitted_at=submitted_at,
        estimated_seconds=1.0,
        key_id=key.id if key else None,
        is_limited=key is not None and key.has_limits,
        is_user_limited=key is not None and key.user_limits.apply_to_submits,
        webhook=webhook,
    )


def make_key(**limits: Any) -> ApiKey:
    key_id = new_token()
    return ApiKey(id=key_id, name="test", user="ann", hash=hash_secret(key_id), created_at=0.0, **limits)


def claim_request(*apps: str, now: float = 1_000_000.0, seconds: float = 10.0, worker: str = "w1") -> ClaimRequest:
    return ClaimRequest(worker=worker, apps=apps or (APP,), token=new_token(), now=now, expires_at=now + seconds)


def success(*keys: str) -> Succeeded:
    images = tuple(
        StoredImage(
            key=key,
            content_type="image/png",
            file_size=10,
            width=96,
            height=64,
            seed=42 + k,
            has_nsfw_concepts=k % 2 == 1,
        )
        for k, key in enumerate(keys)
    )
    return Succeeded(images, 0.5)
