"""Revocations: the open streams whose key has been revoked or has expired."""

import time
from collections.abc import Iterable
from typing import Protocol

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.ports.store import Store

_POLL_INTERVAL = 0.25
"""Minimum seconds between two reads."""
_WINDOW = 60.0
"""Seconds. Keys revoked earlier than that were refused when the stream was opened."""


class OpenWithKey(Protocol):
    @property
    def key(self) -> ApiKey: ...

    def refuse(self) -> None:
        """The key is no longer valid."""


class Revocations:
    """One query for all streams of a process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._polled_at = 0.0

    async def apply(self, streams: Iterable[OpenWithKey]) -> None:
        """Refuse the streams whose key is no longer valid. Call it at least once a second."""
        if time.monotonic() - self._polled_at < _POLL_INTERVAL:
            return
        now, self._polled_at = self._store.clock.now(), time.monotonic()
        revoked = await self._store.api_keys.revoked_since(now - _WINDOW)
        for stream in list(streams):
            if stream.key.id in revoked or stream.key.invalid_reason(now):
                stream.refuse()
