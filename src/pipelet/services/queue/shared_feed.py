"""Shared feed: a value that is computed once a second for all who watch, and not at all while none does."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.cancel import raise_if_cancelled
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.concurrency.on_demand import OnDemandTask
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import PipeletError
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.revocations import Revocations

log = structlog.get_logger()

_INTERVAL = 1.0
_MAX_BACKOFF = 5.0


@dataclass(slots=True, eq=False)
class Subscription:
    """One subscriber. It waits for `updated`, clears it, and takes the value."""

    key: ApiKey
    value: bytes = b""
    is_open: bool = True
    """False once the key is no longer valid, and when the feed closes."""
    updated: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> bytes:
        value, self.value = self.value, b""
        return value

    def publish(self, value: bytes) -> None:
        self.value = value
        self.updated.set()

    def refuse(self) -> None:
        self.is_open = False
        self.updated.set()


class SharedFeed:
    """The feed of one process.

    Args:
        compute: returns the value. Subscribers are told when it is another than before.
    """

    def __init__(self, store: Store, compute: Callable[[], Awaitable[bytes]]) -> None:
        self._compute = compute
        self._revocations = Revocations(store)
        self._subscriptions: set[Subscription] = set()
        self._value = b""
        self._polling = OnDemandTask(self._run, on_crash=self._end_streams)
        self._is_closed = False

    def close(self) -> None:
        """End all subscriptions, and those that begin later."""
        self._is_closed = True
        self._end_streams()

    @contextlib.contextmanager
    def watch(self, key: ApiKey) -> Iterator[Subscription]:
        """Subscribe. The first value comes at once if others watch already."""
        subscription = Subscription(key)
        if self._is_closed:
            subscription.refuse()
        self._subscriptions.add(subscription)
        if not self._polling.start() and self._value:
            subscription.publish(self._value)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def _end_streams(self) -> None:
        """End all streams, so that their clients reconnect if this is a crash."""
        for subscription in self._subscriptions:
            subscription.refuse()

    async def _run(self) -> None:
        backoff, throttle = Backoff(initial=_INTERVAL, maximum=_MAX_BACKOFF), LogThrottle()
        self._value = b""
        while self._subscriptions:
            try:
                await self._revocations.apply(self._subscriptions)
                value = await self._compute()
            except PipeletError as error:  # the streams stay open and get the next value
                throttle.write(log.warning, "shared_feed.failed", watchers=len(self._subscriptions), reason=str(error))
                raise_if_cancelled()
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            if value != self._value:
                self._value = value
                for subscription in self._subscriptions:
                    subscription.publish(value)
            await asyncio.sleep(_INTERVAL)
