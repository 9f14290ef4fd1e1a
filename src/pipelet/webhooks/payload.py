"""The body of a webhook call."""

import json
from typing import Any

from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.webhooks.delivery import WebhookEvent
from pipelet.services.requests.results import images_of, result_document


def build_event_payload(job: Job, event: WebhookEvent) -> bytes:
    """Build the body of a call that tells of a running job."""
    progress = None if job.progress is None else {"done": job.progress.done, "total": job.progress.total}
    body = {
        "request_id": job.id,
        "gateway_request_id": job.id,
        "status": "IN_PROGRESS",
        "event": event.value,
        "progress": progress,
        "attempt": job.attempt,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def build_payload(job: Job, blobs: BlobStore, *, now: float, base_url: str) -> bytes:
    """Build the body for a job that has ended: the result as the API returns it, with URLs signed now."""
    images = images_of(job, blobs, now=now, base_url=base_url)
    body: dict[str, Any] = {"request_id": job.id, "gateway_request_id": job.id}
    if job.failure is None:
        body |= {"status": "OK", "payload": result_document(job, images)}
    else:
        kind, reason = job.failure.kind.value, job.failure.message
        # Always a list, where the API has a text for some kinds: endpoints for fal's webhooks expect this shape.
        detail = [{"loc": ["body"], "msg": reason, "type": kind, "input": None}]
        payload: dict[str, Any] = {"detail": detail, "message": reason, "error_type": kind}
        if images:  # finished before it was cancelled
            payload["images"] = images
        body |= {"status": "ERROR", "error": reason, "error_type": kind, "payload": payload}
    return json.dumps(body, separators=(",", ":")).encode()
