"""Submits that carry an `Idempotency-Key`: made again, they answer the request that the first one made."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import structlog

from pipelet.api.options import Options
from pipelet.api.parts import Parts
from pipelet.api.problems import bad_input, fault
from pipelet.domain.catalog import App
from pipelet.domain.errors import NotFound
from pipelet.domain.idempotency import KEPT_SECONDS, IdempotencyKey, fingerprint_of
from pipelet.domain.job import Job, State
from pipelet.domain.keys import ApiKey

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IdempotentSubmit:
    """One such submit. What counts as the same: the app, the input, and the webhook."""

    wanted: IdempotencyKey
    """Not yet of a job."""
    now: float

    @classmethod
    async def of(cls, options: Options, app: App, key: ApiKey, fields: Mapping[str, Any], now: float) -> Self | None:
        """`fields` have been found to be good."""
        if options.idempotency_key is None:
            return None
        print_of = partial(fingerprint_of, app.name, fields, options.webhook)
        # The pictures of an edit may be 32 MiB of text, which all others would wait for.
        fingerprint = await asyncio.to_thread(print_of) if app.task == "image-edit" else print_of()
        wanted = IdempotencyKey(
            user=key.user,
            key=options.idempotency_key,
            fingerprint=fingerprint,
            job_id="",
            expires_at=now + KEPT_SECONDS,
        )
        return cls(wanted, now)

    async def repeated(self, parts: Parts) -> tuple[Job, int] | None:
        """The request that the key stands for already, and how many are ahead of it. See `submit`."""
        known = await parts.store.find_idempotency_key(self.wanted.user, self.wanted.key, self.now)
        return None if known is None else await self._earlier(parts, known)

    async def submit(self, parts: Parts, job: Job) -> tuple[Job, int] | None:
        """Queue `job`; where another submit with the key was quicker, answers its request instead.

        Raises:
            Problem: 422, the key stands for something else.
            NotFound: what it stands for has expired.
        """
        known = await parts.store.submit_once(job, replace(self.wanted, job_id=job.id))
        return None if known.job_id == job.id else await self._earlier(parts, known)

    async def _earlier(self, parts: Parts, known: IdempotencyKey) -> tuple[Job, int]:
        if known.fingerprint != self.wanted.fingerprint:
            message = "This key was sent before, with another input. Send a new key with each new request."
            raise bad_input(fault(["header", "Idempotency-Key"], message, "idempotency_key_reused", sent=known.key))
        job = await parts.store.get(known.job_id)
        if job is None or job.is_forgotten(self.now):
            raise NotFound("The request of this Idempotency-Key has expired. Send another key to submit it anew.")
        log.info("request.repeated", request_id=job.id, app=job.app, user=job.user)
        ahead = await parts.estimates.ahead(job) if job.state is State.QUEUED else None
        return job, ahead.requests if ahead else 0
