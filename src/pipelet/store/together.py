"""One query for all who ask at the same time: a trip to the database costs far more than one more row of its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MOST = 500


class Together(Generic[Key, Value]):
    """Whoever comes while a read is under way is in the next one, so that none sees what was true before they asked.

    Nobody waits for company: alone, a key is read at once. That is why this is none of the libraries that gather the
    keys of a tick of the event loop; even under load, a tick holds one or two.

    Args:
        read: answers what there is for some keys, at most 500.
    """

    def __init__(self, read: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        self._read = read
        self._asked: dict[Key, asyncio.Future[Value | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def get(self, key: Key) -> Value | None:
        """What `read` has for `key`, or what it raises."""
        answer = self._asked.get(key)
        if answer is None:
            answer = self._asked[key] = asyncio.get_running_loop().create_future()
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all())
        return await asyncio.shield(answer)  # others may wait for the same

    async def _read_all(self) -> None:
        while self._asked:
            keys = list(self._asked)[:_MOST]
            answers = {key: self._asked.pop(key) for key in keys}
            try:
                found = await self._read(keys)
            except BaseException as error:
                for answer in answers.values():
                    answer.set_exception(error)
                    answer.exception()  # all who asked may have gone
                if not isinstance(error, Exception):
                    raise
            else:
                for key, answer in answers.items():
                    answer.set_result(found.get(key))
