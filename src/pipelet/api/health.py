"""For whoever runs the service: is it alive, can it do its work, and if not, why not."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from pipelet.api.parts import Parts, parts_of
from pipelet.api.problems import json_response
from pipelet.domain.errors import Unusable
from pipelet.domain.ports import BlobStore
from pipelet.domain.workers import WorkerReport


async def root(request: Request) -> Response:
    version = parts_of(request).version
    return json_response(200, {"service": "pipelet", "version": version, "docs": "/docs", "health": "/health/ready"})


async def live(request: Request) -> Response:
    return json_response(200, {"status": "ok", "version": parts_of(request).version})


async def ready(request: Request) -> Response:
    """200 where this process can do its part: take requests and tell of them.

    Workers and the files' store are told of, and do not decide: every API would leave the load balancer at once, with
    nobody left to take requests, which wait well, and to tell of those that are done.
    """
    parts = parts_of(request)
    store_trouble, workers = await _look_at_store(parts)
    blobs_trouble = await parts.blobs_trouble.get()
    is_ready = store_trouble is None
    body = {
        "status": "ready" if is_ready else "not ready",
        "version": parts.version,
        "checks": {"store": store_trouble or "ok", "blobs": blobs_trouble or "ok"},
        "workers": [_worker(worker) for worker in workers],
        "notes": _notes(workers, blobs_trouble) if is_ready else [],
    }
    return json_response(200 if is_ready else 503, body)


async def scrape(request: Request) -> Response:
    return Response(await parts_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def blobs_trouble(blobs: BlobStore) -> str | None:
    try:
        await blobs.check()
    except Unusable as error:
        return str(error)
    return None


async def _look_at_store(parts: Parts) -> tuple[str | None, list[WorkerReport]]:
    try:
        return None, await parts.store.live_workers(parts.clock.now())
    except Unusable as error:
        return str(error), []


def _worker(worker: WorkerReport) -> dict[str, Any]:
    return {"kind": worker.kind, "apps": worker.apps, "ready": worker.ready, "problem": worker.problem}


def _notes(workers: list[WorkerReport], blobs_trouble: str | None) -> list[str]:
    notes = []
    if not workers:
        notes.append("No worker is running: requests are accepted and wait. Start one with `pipelet worker`.")
    elif not any(worker.ready for worker in workers):
        notes.append("No worker is ready yet: requests are accepted and wait until one has loaded its model.")
    if blobs_trouble is not None:
        notes.append("Files cannot be stored: requests are accepted, and finished pictures wait. See checks.blobs.")
    return notes
