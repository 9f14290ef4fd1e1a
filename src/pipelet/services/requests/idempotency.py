"""Submits with an idempotency key: a repeated submit returns the request that the first one made.

Two submits are the same if app, input and webhook are.
"""

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog

from pipelet.domain.catalog import EDIT, App
from pipelet.domain.errors import IdempotencyKeyReused, NotFound
from pipelet.domain.jobs.idempotency import IdempotencyKey, fingerprint_of
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.store import Store

log = structlog.get_logger()

MAX_KEY_CHARS = 255
_VISIBLE = re.compile(rf"[!-~]{{1,{MAX_KEY_CHARS}}}")


def check_key(text: str) -> str:
    """Return a key that a client sent, if it can be one.

    Raises:
        ValueError: it cannot, and what can.
    """
    if not _VISIBLE.fullmatch(text):
        raise ValueError(f"Give 1 to {MAX_KEY_CHARS} visible ASCII characters without blanks, such as a UUID.")
    return text


async def fingerprint(app: App, fields: Mapping[str, Any], webhook: str | None) -> str:
    """`fields` are those of a valid input, as the client sent them."""
    compute = partial(fingerprint_of, app.name, fields, webhook)
    # The input images of an edit may be 32 MiB of text, which would block the event loop.
    return await asyncio.to_thread(compute) if app.task == EDIT else compute()


async def find_earlier(store: Store, wanted: IdempotencyKey) -> Job | None:
    """The request that the key already stands for. Raises as `submit_once`."""
    known = await store.jobs.find_idempotency_key(wanted.user, wanted.key, store.clock.now())
    return None if known is None else await _load_earlier(store, known, wanted)


async def submit_once(store: Store, job: Job, wanted: IdempotencyKey) -> Job | None:
    """Queue `job`, or return the request of a concurrent submit with the same key that came first.

    Raises:
        IdempotencyKeyReused: the key stands for another input.
        NotFound: the request that the key stands for has expired.
    """
    known = await store.jobs.submit_once(job, wanted)
    return None if known.job_id == job.id else await _load_earlier(store, known, wanted)


async def _load_earlier(store: Store, known: IdempotencyKey, wanted: IdempotencyKey) -> Job:
    if known.fingerprint != wanted.fingerprint:
        raise IdempotencyKeyReused(known.key)
    job = await store.jobs.get(known.job_id)
    if job is None or job.is_expired(store.clock.now()):
        raise NotFound("The request of this Idempotency-Key has expired. Send another key to submit it again.")
    structlog.contextvars.bind_contextvars(request_id=job.id)
    log.info("request.replayed", app=job.app, user=job.user)
    return job
