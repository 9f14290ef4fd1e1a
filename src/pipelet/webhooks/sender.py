"""Sends the webhook calls that are due. Any number of processes may do so concurrently."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial

import httpx2
import structlog

from pipelet.concurrency.cancel import wait_for_event
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.concurrency.periodic import run_periodically
from pipelet.domain.errors import AddressNotAllowed, BlobStoreError, StoreError, TooManyLookups
from pipelet.domain.ids import new_token
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryState, Webhook, WebhookEvent
from pipelet.domain.webhooks.retry import MAX_ATTEMPTS, next_event_at, next_state
from pipelet.domain.webhooks.signing_keys import Role, WebhookKey
from pipelet.webhooks.payload import build_event_payload, build_payload
from pipelet.webhooks.signing import signed_headers

log = structlog.get_logger()

MAX_IN_FLIGHT = 64
MAX_IN_FLIGHT_PER_USER = 16
"""Calls of one user: endpoints that hang must not delay the calls of other users."""
MAX_IN_FLIGHT_PER_ENDPOINT = 4
"""Calls to one endpoint: if it hangs, it must not delay the calls to others."""
_POLL_INTERVAL = 1.0
"""Seconds between polls of the outbox without a notification."""
_MIN_POLL_INTERVAL = 0.05
"""Seconds after a notification, which may concern anything: at most twenty polls a second, however much changes."""
_ERROR_CHARS = 300
_RECORD_TIMEOUT = 5.0
"""Seconds to record an attempt. After these and twice the timeout of a call, its process counts as lost."""


@dataclass
class Sender:
    store: Store
    blobs: BlobStore
    open_client: Callable[[], httpx2.AsyncClient]
    """Opens a client that rejects forbidden addresses and follows no redirects."""
    _: KW_ONLY
    public_url: str | None
    """Address of the API; None takes the one that the request was submitted to."""
    timeout_seconds: float
    """Seconds for a call, from resolving the name to the status of the response."""
    on_result: Callable[[str], None]
    """Called with the result of each attempt: delivered, retrying or failed."""

    def __post_init__(self) -> None:
        self._throttle = LogThrottle()
        self._users: Counter[str] = Counter()
        self._endpoints: Counter[str] = Counter()

    async def run(self) -> None:
        """Send until cancelled. Calls in flight are then cancelled, and are due again at once."""
        async with (
            self.open_client() as client,
            self.store.subscribe_changes() as changed,
            asyncio.TaskGroup() as calls,
        ):
            dispatch = partial(self._dispatch_due, client, calls, changed)
            await run_periodically(_MIN_POLL_INTERVAL, dispatch, name="webhooks", expected=StoreError)

    async def _dispatch_due(self, client: httpx2.AsyncClient, calls: asyncio.TaskGroup, changed: asyncio.Event) -> None:
        """Start the calls that are due, and wait until there may be more; the end of each sets `changed`."""
        changed.clear()
        while self._users.total() < MAX_IN_FLIGHT and (delivery := await self._claim()):
            self._users[delivery.user] += 1
            self._endpoints[delivery.endpoint] += 1
            call = calls.create_task(self._deliver(delivery, client))
            call.add_done_callback(partial(self._on_done, delivery, changed))
        await wait_for_event(changed, seconds=_POLL_INTERVAL)

    async def _claim(self) -> Delivery | None:
        now = self.store.clock.now()
        lost_at = now + 2 * self.timeout_seconds + _RECORD_TIMEOUT
        busy = {
            "busy_users": [user for user, calls in self._users.items() if calls >= MAX_IN_FLIGHT_PER_USER],
            "busy_endpoints": [
                endpoint for endpoint, calls in self._endpoints.items() if calls >= MAX_IN_FLIGHT_PER_ENDPOINT
            ],
        }
        outbox = self.store.outbox
        return await outbox.claim(new_token(), now, lost_at, **busy) or await outbox.claim_event(
            new_token(), now, lost_at, **busy
        )

    def _on_done(self, delivery: Delivery, changed: asyncio.Event, _: "asyncio.Task[None]") -> None:
        self._users -= Counter([delivery.user])  # which drops counts of zero
        self._endpoints -= Counter([delivery.endpoint])
        changed.set()

    async def _deliver(self, delivery: Delivery, client: httpx2.AsyncClient) -> None:
        try:
            attempt = await self._attempt(delivery, client)
            if attempt is not None:
                await (self._record if delivery.event is None else self._record_event)(delivery, attempt)
        except StoreError as error:  # retried when the lease has expired
            self._throttle.write(log.warning, "webhook.record_failed", request_id=delivery.job_id, reason=str(error))
        except asyncio.CancelledError:
            with contextlib.suppress(StoreError):  # then it is retried when the lease has expired
                await self._release(delivery)
            raise
        except Exception:  # a bug in one call must not end the others
            log.exception("webhook.crashed", endpoint=delivery.endpoint)

    async def _attempt(self, delivery: Delivery, client: httpx2.AsyncClient) -> DeliveryAttempt | None:
        """Make a call. Returns None if the request has been deleted, or has no such event any more."""
        job, keys = await self.store.jobs.get(delivery.job_id), await self.store.outbox.keys()
        if job is None or job.webhook is None or (delivery.event and job.state is not JobState.RUNNING):
            return None
        now, started = self.store.clock.now(), time.monotonic()
        if delivery.attempts > MAX_ATTEMPTS:  # earlier ones crashed or lost their process
            return DeliveryAttempt(now, 0.0, None, "no attempt was completed", is_final=True)
        code, error, is_final = None, None, False
        try:
            async with asyncio.timeout(self.timeout_seconds):
                key = next(key for key in keys if key.role is Role.SIGNING)
                body = self._body(job, job.webhook, delivery.event, now)
                code = await self._call(client, job, job.webhook, key, now, body)
        except AddressNotAllowed as refusal:
            error, is_final = str(refusal), True
        except TimeoutError:
            error = f"no response within {self.timeout_seconds:g} seconds"
        except (httpx2.HTTPError, httpx2.InvalidURL, TooManyLookups, BlobStoreError, OSError) as failure:
            error = f"{type(failure).__name__}: {failure}"[:_ERROR_CHARS]
        if code is not None and not 200 <= code < 300:
            error, is_final = f"responded with {code}", code == 410  # Gone: permanent
        return DeliveryAttempt(now, time.monotonic() - started, code, error, is_final)

    def _body(self, job: Job, webhook: Webhook, event: WebhookEvent | None, now: float) -> bytes:
        if event is not None:
            return build_event_payload(job, event)
        return build_payload(job, self.blobs, now=now, base_url=self.public_url or webhook.base_url)

    async def _call(
        self, client: httpx2.AsyncClient, job: Job, webhook: Webhook, key: WebhookKey, now: float, body: bytes
    ) -> int:
        """Return the status of the response. Its body, which may be endless, is not read."""
        headers = signed_headers(key, request_id=job.id, user=job.user, now=now, body=body)
        headers["Content-Type"] = "application/json"
        for_user = {"pipelet_user": job.user}
        async with client.stream("POST", webhook.url, content=body, headers=headers, extensions=for_user) as response:
            return response.status_code

    async def _release(self, delivery: Delivery) -> None:
        now = self.store.clock.now()
        if delivery.event is None:
            await self.store.outbox.release(delivery, now)
        else:
            await self.store.outbox.record_event(delivery, now, is_retry=True)

    async def _record_event(self, delivery: Delivery, attempt: DeliveryAttempt) -> None:
        due_at, is_retry = next_event_at(attempt, delivery.attempts, self.store.clock.now())
        await self.store.outbox.record_event(delivery, due_at, is_retry=is_retry)
        if attempt.error is not None:
            facts = {"request_id": delivery.job_id, "endpoint": delivery.endpoint, "webhook_event": delivery.event}
            log.warning("webhook.event_failed", **facts, reason=attempt.error)
        self.on_result("delivered" if attempt.error is None else "retrying" if is_retry else "failed")

    async def _record(self, delivery: Delivery, attempt: DeliveryAttempt) -> None:
        state, due_at = next_state(attempt, delivery.attempts, self.store.clock.now(), random.random())  # noqa: S311 - spreads calls
        if not await self.store.outbox.record(delivery, attempt, state, due_at):
            log.warning("webhook.lease_lost", request_id=delivery.job_id)
            return
        facts = {"request_id": delivery.job_id, "endpoint": delivery.endpoint, "attempts": delivery.attempts}
        match state:
            case DeliveryState.DELIVERED:
                log.info("webhook.delivered", **facts, code=attempt.code, seconds=round(attempt.seconds, 3))
                self.on_result("delivered")
            case DeliveryState.WAITING:
                log.warning("webhook.failed", **facts, reason=attempt.error, again_at=due_at)
                self.on_result("retrying")
            case DeliveryState.FAILED:
                log.error("webhook.exhausted", **facts, reason=attempt.error)
                self.on_result("failed")
