"""Tells an attempt that its request is to stop."""

import asyncio
import contextlib
from collections.abc import Iterator

from pipelet.domain.job import Lease
from pipelet.domain.ports import JobStore


class Cancels:
    def __init__(self, store: JobStore, worker: str) -> None:
        self._store = store
        self._worker = worker
        self._watched: dict[str, asyncio.Event] = {}

    @contextlib.contextmanager
    def watch(self, lease: Lease) -> Iterator[asyncio.Event]:
        """The event is set when the user wants no more of it."""
        asked = asyncio.Event()
        self._watched[lease.token] = asked
        try:
            yield asked
        finally:
            del self._watched[lease.token]

    async def look(self) -> None:
        """To be called now and then, and when the store rings."""
        if not self._watched:
            return
        for token in await self._store.cancels(self._worker):
            if token in self._watched:  # it may have ended meanwhile
                self._watched[token].set()
