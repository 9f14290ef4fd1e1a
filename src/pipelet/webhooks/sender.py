"""Makes the calls that are due. Any number of processes do so beside each other."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable

import httpx2
import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import AddressRefused, BlobsUnusable, StoreUnusable, TooManyLookups
from pipelet.domain.ids import new_token
from pipelet.domain.job import Job
from pipelet.domain.ports import BlobStore, Clock, JobStore
from pipelet.domain.webhook_keys import Role, WebhookKey
from pipelet.domain.webhooks import MOST_TRIES, Delivery, DeliveryState, Try, Webhook, after
from pipelet.webhooks.message import message
from pipelet.webhooks.sign import signed_headers

log = structlog.get_logger()

AT_ONCE = 64
AT_ONCE_OF_ONE = 16
"""Calls of one user, who may have any number of receivers that hang: they must not hold up the calls of others."""
AT_ONCE_TO_ONE = 4
"""Calls to one receiver: one that hangs must not hold up the calls to others."""
_LOOK_SECONDS = 1.0
"""Between two looks at the outbox, where nobody rings."""
_PAUSE = 0.05
"""After a ring, which may be about anything: however much changes, it is twenty looks a second at most."""
_MAX_BACKOFF = 5.0
"""Between two looks at most, while the store refuses."""
_ERROR_CHARS = 300
_RECORD_SECONDS = 5.0
"""Beside twice what a try may take: when that is over, its process is taken for lost."""


class Sender:
    """
    Args:
        open_client: its clients refuse addresses that may not be called, and follow no redirects.
        public_url: our own address; None takes the one that the request came in by.
        answer_seconds: how long a receiver may take, from looking up its name to the status of its answer.
        tell: gets the outcome of each try: delivered, failed or given_up.
    """

    def __init__(
        self,
        store: JobStore,
        blobs: BlobStore,
        clock: Clock,
        open_client: Callable[[], httpx2.AsyncClient],
        *,
        public_url: str | None,
        answer_seconds: float,
        tell: Callable[[str], None],
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._open_client = open_client
        self._public_url = public_url
        self._answer_seconds = answer_seconds
        self._tell = tell
        self._calls: set[asyncio.Task[None]] = set()
        self._backoff = Backoff(initial=_LOOK_SECONDS, maximum=_MAX_BACKOFF)
        self._throttle = LogThrottle()
        self._users: Counter[str] = Counter()
        self._receivers: Counter[str] = Counter()

    async def run(self) -> None:
        """Until cancelled. Calls under way are then broken off, and are due again at once."""
        async with self._open_client() as client, self._store.changes() as changed:
            try:
                while True:
                    changed.clear()
                    if await self._begin_due(client):
                        self._backoff.reset()
                        await self._something_happens(changed)
                        await asyncio.sleep(_PAUSE)
                    else:
                        await asyncio.sleep(self._backoff.next())
            finally:
                for call in self._calls:
                    call.cancel()
                await asyncio.gather(*self._calls, return_exceptions=True)

    async def _begin_due(self, client: httpx2.AsyncClient) -> bool:
        """False: the store refuses."""
        try:
            while len(self._calls) < AT_ONCE and (delivery := await self._claim()):
                self._begin(delivery, client)
        except StoreUnusable as error:
            self._throttle.write(log.warning, "webhooks.delayed", reason=str(error))
            return False
        return True

    async def _claim(self) -> Delivery | None:
        now = self._clock.now()
        lost_at = now + 2 * self._answer_seconds + _RECORD_SECONDS
        return await self._store.outbox.claim(
            new_token(),
            now,
            lost_at,
            busy_users=[user for user, calls in self._users.items() if calls >= AT_ONCE_OF_ONE],
            busy_receivers=[receiver for receiver, calls in self._receivers.items() if calls >= AT_ONCE_TO_ONE],
        )

    def _begin(self, delivery: Delivery, client: httpx2.AsyncClient) -> None:
        self._users[delivery.user] += 1
        self._receivers[delivery.receiver] += 1
        call = asyncio.create_task(self._deliver(delivery, client))
        self._calls.add(call)
        call.add_done_callback(lambda _: self._end(call, delivery))

    def _end(self, call: asyncio.Task[None], delivery: Delivery) -> None:
        self._calls.discard(call)
        for under_way, name in ((self._users, delivery.user), (self._receivers, delivery.receiver)):
            under_way[name] -= 1
            if not under_way[name]:
                del under_way[name]
        if not call.cancelled() and (error := call.exception()) is not None:
            log.error("webhook.crashed", receiver=delivery.receiver, exc_info=error)

    async def _something_happens(self, changed: asyncio.Event) -> None:
        """A ring, the end of a call, or it is time to look."""
        ring = asyncio.create_task(changed.wait())
        try:
            await asyncio.wait({ring, *self._calls}, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ring.cancel()

    async def _deliver(self, delivery: Delivery, client: httpx2.AsyncClient) -> None:
        try:
            attempt = await self._try(delivery, client)
            if attempt is not None:
                await self._record(delivery, attempt)
        except StoreUnusable as error:  # it is tried once more when the lease has run out
            self._throttle.write(log.warning, "webhook.unrecorded", request_id=delivery.job_id, reason=str(error))
        except asyncio.CancelledError:
            await self._store.outbox.hand_back(delivery, self._clock.now())
            raise

    async def _try(self, delivery: Delivery, client: httpx2.AsyncClient) -> Try | None:
        """None: the request was forgotten meanwhile."""
        job, keys = await self._store.get(delivery.job_id), await self._store.outbox.keys()
        if job is None or job.webhook is None:
            return None
        now, began = self._clock.now(), time.monotonic()
        if delivery.tries > MOST_TRIES:  # those before took their process along, or it was killed again and again
            return Try(now, 0.0, None, "no try came to its end", is_final=True)
        code, error, is_final = None, None, False
        try:
            async with asyncio.timeout(self._answer_seconds):
                code = await self._call(client, job, job.webhook, _signing(keys), now)
        except AddressRefused as refusal:
            error, is_final = str(refusal), True
        except TimeoutError:
            error = f"no answer within {self._answer_seconds:g} seconds"
        except (httpx2.HTTPError, httpx2.InvalidURL, TooManyLookups, BlobsUnusable, OSError) as failure:
            error = f"{type(failure).__name__}: {failure}"[:_ERROR_CHARS]
        if code is not None and not 200 <= code < 300:
            error, is_final = f"answered {code}", code == 410  # Gone: that is for good
        return Try(now, time.monotonic() - began, code, error, is_final)

    async def _call(self, client: httpx2.AsyncClient, job: Job, webhook: Webhook, key: WebhookKey, now: float) -> int:
        """The status of the answer. Of its body nothing is read, for it may have no end."""
        base_url = self._public_url or webhook.base_url
        body = message(job, self._blobs, now=now, base_url=base_url)
        headers = signed_headers(key, request_id=job.id, user=job.user, now=now, body=body)
        headers["Content-Type"] = "application/json"
        for_user = {"pipelet_user": job.user}
        async with client.stream("POST", webhook.url, content=body, headers=headers, extensions=for_user) as answer:
            return answer.status_code

    async def _record(self, delivery: Delivery, attempt: Try) -> None:
        state, due_at = after(attempt, delivery.tries, self._clock.now(), random.random())  # noqa: S311 - spreads calls
        if not await self._store.outbox.record(delivery, attempt, state, due_at):
            log.warning("webhook.taken_over", request_id=delivery.job_id)
            return
        facts = {"request_id": delivery.job_id, "receiver": delivery.receiver, "tries": delivery.tries}
        match state:
            case DeliveryState.DELIVERED:
                log.info("webhook.delivered", **facts, code=attempt.code, seconds=round(attempt.seconds, 3))
                self._tell("delivered")
            case DeliveryState.WAITING:
                log.warning("webhook.failed", **facts, reason=attempt.error, again_at=due_at)
                self._tell("failed")
            case DeliveryState.GIVEN_UP:
                log.error("webhook.given_up", **facts, reason=attempt.error)
                self._tell("given_up")


def _signing(keys: list[WebhookKey]) -> WebhookKey:
    return next(key for key in keys if key.role is Role.SIGNING)
