"""The API on a real store and real files, driven as its clients, a worker and an operator would drive it."""

from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import httpx2
from fastapi import FastAPI

from pipelet.api.app import build_api
from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.accounts.api_keys import ApiKey, hash_secret, new_secret
from pipelet.domain.capacity.workers import WorkerHeartbeat
from pipelet.domain.catalog import Catalog
from pipelet.domain.generation.image import StoredImage
from pipelet.domain.ids import new_token
from pipelet.domain.jobs.job import Job, Lease
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind, Succeeded
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.store import Store
from pipelet.outbound import is_public
from pipelet.store.sqlite import SqliteStore
from pipelet.wiring.catalog_parser import parse
from tests.support.jobs import APP, EDIT, FakeClock, claim_request

_BUILT_IN = (files("pipelet") / "catalog.toml").read_text("utf-8")
CATALOG = parse(_BUILT_IN)
WITH_STRENGTH = parse(_BUILT_IN, '[models.demo]\nedit_model = ""')
"""Edits are generated over their input image."""
WITH_BASE = parse(
    _BUILT_IN, '[fal_ids."fal-ai/z-image/base"]\nmodels = []\n[fal_ids."fal-ai/z-image/base/lora"]\nmodels = []'
)
"""All of fal's ids are served."""


def build(store: Store, blobs: DiskBlobStore, clock: Clock, catalog: Catalog = CATALOG, **differently: Any) -> FastAPI:
    """The API with files on our own disk, where no address but public ones may be called, unless `differently` says
    otherwise, in `build_api`'s words."""
    usual = {"public_url": None, "signed_files": blobs, "is_allowed_address": is_public, "version": "0.1.0"}
    store.clock = clock
    return build_api(store=store, blobs=blobs, catalog=catalog, **usual | differently)


def catalog_of_edits(*, max_input_images: int) -> Catalog:
    """The edit app alone, with room for images in the body."""
    return parse(
        f"""
        [models.editor]
        source = "none"
        max_input_images = {max_input_images}
        [apps.{EDIT}]
        task = "image-edit"
        model = "editor"
        limits = {{ max_body_bytes = 33_554_432 }}
        """
    )


@dataclass
class Service:
    app: FastAPI
    store: SqliteStore
    blobs: DiskBlobStore
    clock: FakeClock
    client: httpx2.AsyncClient
    """Sends the key of the user `ada`."""
    key: str = ""

    def another_api(self, **differently: Any) -> FastAPI:
        """A second process of the same service."""
        return build(self.store, self.blobs, self.clock, **differently)

    async def new_key(self, user: str, *, secret: str | None = None, **limits: Any) -> str:
        secret = secret or new_secret()
        key = ApiKey(id=new_token(), name="test", user=user, hash=hash_secret(secret), created_at=0.0, **limits)
        await self.store.api_keys.add(key)
        return secret

    async def id_of(self, secret: str) -> str:
        key = await self.store.api_keys.find(hash_secret(secret))
        assert key is not None
        return key.id

    async def submit(self, prompt: str = "a chess board", **fields: Any) -> str:
        response = await self.client.post(f"/fal/queue/{APP}", json={"prompt": prompt, **fields})
        assert response.status_code == 200, response.text
        return str(response.json()["request_id"])

    async def claim(self) -> Lease:
        lease = await self.store.leases.claim(claim_request(now=self.clock.now(), seconds=60))
        assert lease is not None
        return lease

    async def succeed(self, lease: Lease, seconds: float = 1.5, data: bytes = b"png bytes") -> None:
        images = []
        for k in range(lease.job.spec.batch_size):
            stored = stored_image(lease.job, k, len(data))
            await self.store.files.reserve(lease, [stored.key])
            await self.blobs.put(stored.key, data, stored.content_type)
            images.append(stored)
        assert await self.store.leases.finish(lease, Succeeded(tuple(images), seconds), self.clock.now())

    async def fail(self, lease: Lease, kind: FailureKind, message: str) -> None:
        assert await self.store.leases.finish(lease, Failed(Failure(kind, message)), self.clock.now())

    async def fail_next(self) -> None:
        await self.fail(await self.claim(), FailureKind.INTERNAL, "The pipeline raised.")

    async def heartbeat(self, **facts: Any) -> None:
        now = self.clock.now()
        report = WorkerHeartbeat(
            name=new_token(),
            model="demo",
            profile="demo on cpu",
            apps=(APP,),
            version="0.1.0",
            ready=True,
            problem=None,
            seen_at=now,
            expires_at=now + 600,
            incarnation=new_token(),
        )
        await self.store.workers.heartbeat(replace(report, **facts))

    async def queued(self) -> int:
        return sum(counts.queued for counts in (await self.store.queue.counts()).values())

    def status_path(self, request_id: str) -> str:
        return f"/fal/queue/{APP}/requests/{request_id}/status"

    def result_path(self, request_id: str) -> str:
        return f"/fal/queue/{APP}/requests/{request_id}"


def stored_image(job: Job, number: int, size: int) -> StoredImage:
    spec = job.spec
    return StoredImage(
        key=f"outputs/z_image_text_to_image_api/2DPBix_z_image_text_to_image__{number + 1:05d}_.png",
        content_type=spec.output_format.content_type,
        file_size=size,
        width=spec.width,
        height=spec.height,
        seed=spec.seed + number,
        has_nsfw_concepts=number == 1,
    )
