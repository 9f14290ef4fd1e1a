"""Submits with an idempotency key: a repeated submit returns the request that the first one made."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import structlog

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.catalog import EDIT, App
from pipelet.domain.errors import IdempotencyKeyReused, NotFound
from pipelet.domain.jobs.idempotency import TTL_SECONDS, IdempotencyKey, fingerprint_of
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.store import Store

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IdempotentSubmit:
    """One such submit. Two submits are the same if app, input and webhook are."""

    wanted: IdempotencyKey
    """Its `job_id` is empty."""
    now: float

    @classmethod
    async def begin(
        cls, idempotency_key: str, app: App, key: ApiKey, fields: Mapping[str, Any], webhook: str | None, now: float
    ) -> Self:
        """`fields` are those of a valid input, as the client sent them."""
        fingerprint_it = partial(fingerprint_of, app.name, fields, webhook)
        # The input images of an edit may be 32 MiB of text, which would block the event loop.
        fingerprint = await asyncio.to_thread(fingerprint_it) if app.task == EDIT else fingerprint_it()
        wanted = IdempotencyKey(
            user=key.user,
            key=idempotency_key,
            fingerprint=fingerprint,
            job_id="",
            expires_at=now + TTL_SECONDS,
        )
        return cls(wanted, now)

    async def find_replay(self, store: Store) -> Job | None:
        """The request that the key already stands for. Raises as `submit`."""
        known = await store.jobs.find_idempotency_key(self.wanted.user, self.wanted.key, self.now)
        return None if known is None else await self._earlier(store, known)

    async def submit(self, store: Store, job: Job) -> Job | None:
        """Queue `job`, or return the request of a concurrent submit with the same key that came first.

        Raises:
            IdempotencyKeyReused: the key stands for another input.
            NotFound: the request that the key stands for has expired.
        """
        known = await store.jobs.submit_once(job, replace(self.wanted, job_id=job.id))
        return None if known.job_id == job.id else await self._earlier(store, known)

    async def _earlier(self, store: Store, known: IdempotencyKey) -> Job:
        if known.fingerprint != self.wanted.fingerprint:
            raise IdempotencyKeyReused(known.key)
        job = await store.jobs.get(known.job_id)
        if job is None or job.is_expired(self.now):
            raise NotFound("The request of this Idempotency-Key has expired. Send another key to submit it again.")
        structlog.contextvars.bind_contextvars(request_id=job.id)
        log.info("request.replayed", app=job.app, user=job.user)
        return job
