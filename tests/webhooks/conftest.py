"""A store, a sender, and an endpoint that responds well."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from pipelet.api.operations.jwks import jwks
from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.outcome import Failed, Failure
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks.delivery import DeliveryReport, Webhook
from pipelet.domain.webhooks.signing_keys import initial_keys, published_keys
from pipelet.outbound import public_only_client
from pipelet.webhooks.sender import Sender
from pipelet.webhooks.signing import generate_keypair
from tests.store.conftest import opener as opener
from tests.support.databases import Opener
from tests.support.jobs import FakeClock, claim_request, make_job, success
from tests.support.waiting import until
from tests.webhooks.receiver import Call, Receiver, verify

LOOPBACK = (ip_network("127.0.0.0/8"),)

DAY = 86400.0


class SenderHarness:
    """A store with its clock set by the test, and what sends from it."""

    def __init__(self, store: Store, blobs: DiskBlobStore) -> None:
        self.store = store
        self.clock = FakeClock()
        self.blobs = blobs
        self.outcomes: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def sending(
        self, *, store: Store | None = None, timeout_seconds: float = 5.0, everywhere: bool = True
    ) -> AsyncIterator[None]:
        store = store or self.store
        store.clock = self.clock
        sender = Sender(
            store,
            self.blobs,
            partial(public_only_client, allowed=LOOPBACK if everywhere else (), timeout=timeout_seconds),
            public_url=None,
            timeout_seconds=timeout_seconds,
            on_result=lambda outcome: self.outcomes.update([outcome]),
        )
        task = asyncio.create_task(sender.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def end(
        self,
        url: str,
        *,
        user: str = "ann",
        failure: Failure | None = None,
        receiver: str | None = None,
        inline_images: bool = False,
    ) -> Job:
        """A request with this webhook, that has ended."""
        webhook = Webhook(url, receiver or url.split("/")[2], "http://pipelet.test")
        job = make_job(webhook=webhook, user=user)
        await self.store.jobs.submit(replace(job, inline_images=inline_images, store_input=not inline_images))
        lease = await self.store.leases.claim(claim_request())
        assert lease is not None
        outcome = success(f"outputs/{lease.job.id}.png") if failure is None else Failed(failure)
        assert await self.store.leases.finish(lease, outcome, self.clock.now())
        return lease.job

    async def attempted(self, job: Job, times: int = 1) -> DeliveryReport:
        """What is known once so many attempts have ended."""

        async def ended() -> DeliveryReport | None:
            reports = await self.store.outbox.list_deliveries(None, 100)
            return next((each for each in reports if each.job_id == job.id and len(each.attempts) >= times), None)

        return await until(ended)

    def is_genuine(self, keys: dict[str, Any], call: Call) -> bool:
        return verify(keys, call.headers, call.body, now=self.clock.now())

    async def published(self) -> dict[str, Any]:
        return jwks(published_keys(await self.store.outbox.keys(), self.clock.now()))


@contextlib.asynccontextmanager
async def harness_on(opener: Opener, folder: Path) -> AsyncIterator[SenderHarness]:
    async with opener() as store:
        harness = SenderHarness(store, DiskBlobStore(folder / "files", signing_key=b"k" * 32, url_ttl_seconds=7200))
        await store.outbox.update_keys(lambda keys: initial_keys(keys, generate_keypair, harness.clock.now() - 2 * DAY))
        yield harness


@pytest.fixture
async def harness(opener: Opener, tmp_path: Path) -> AsyncIterator[SenderHarness]:
    async with harness_on(opener, tmp_path) as harness:
        yield harness


@pytest.fixture
async def good() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver
