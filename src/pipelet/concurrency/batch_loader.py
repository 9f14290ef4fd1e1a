"""One query for all concurrent readers: a database round trip costs far more than one more row in its result."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MAX_KEYS = 500


class BatchLoader(Generic[Key, Value]):
    """Batches keys that are requested while a read is in flight into the next read.

    A reader never receives a value that was read before its request. A lone key is loaded immediately: there is no
    batching delay. The published data loaders batch the keys of one tick of the event loop; even under load, a tick
    holds one or two.

    Args:
        read: returns the values of at most 500 keys.
    """

    def __init__(self, read: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        self._read = read
        self._pending: dict[Key, asyncio.Future[Value | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def get(self, key: Key) -> Value | None:
        """Return the value of `key`, None where `read` has none, or raise what `read` raises."""
        result = self._pending.get(key)
        if result is None:
            result = self._pending[key] = asyncio.get_running_loop().create_future()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all())
        return await asyncio.shield(result)  # other readers may wait for the same key

    async def _read_all(self) -> None:
        while self._pending:
            keys = list(self._pending)[:_MAX_KEYS]
            results = {key: self._pending.pop(key) for key in keys}
            try:
                found = await self._read(keys)
            except BaseException as error:
                for result in results.values():
                    result.set_exception(error)
                    result.exception()  # mark it as retrieved: all readers may be gone
                if not isinstance(error, Exception):
                    raise
            else:
                for key, result in results.items():
                    result.set_result(found.get(key))
