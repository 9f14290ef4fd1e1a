"""Reads that are asked for at the same time."""

import asyncio
from collections.abc import Sequence

import pytest

from pipelet.concurrency.batch_loader import BatchLoader


class Table:
    """Loads when the test permits it, and records the keys."""

    def __init__(self) -> None:
        self.content = {"a": 1, "b": 2}
        self.asked: list[list[str]] = []
        self.let = asyncio.Semaphore(0)
        self.broken = False

    async def read(self, keys: Sequence[str]) -> dict[str, int]:
        self.asked.append(list(keys))
        found = dict(self.content)
        await self.let.acquire()
        if self.broken:
            raise ConnectionError("gone")
        return {key: found[key] for key in keys if key in found}


async def _begun(table: Table, reads: int) -> None:
    while len(table.asked) < reads:
        await asyncio.sleep(0)


async def test_a_key_that_comes_during_a_read_is_in_the_next() -> None:
    """A lone reader is served at once; all that come during its read share the next one, which begins after they
    asked."""
    table = Table()
    together = BatchLoader(table.read)
    first = asyncio.create_task(together.get("a"))
    await _begun(table, 1)
    others = [asyncio.create_task(together.get(key)) for key in ("b", "a", "b", "c")]
    await asyncio.sleep(0)
    table.content["b"] = 3
    for _ in range(2):
        table.let.release()

    assert [await first, *await asyncio.gather(*others)] == [1, 3, 1, 3, None]
    assert table.asked == [["a"], ["b", "a", "c"]]


async def test_a_failure_reaches_its_readers_alone() -> None:
    """What a read raises is raised for everyone in it; the next read is a new one."""
    table = Table()
    together = BatchLoader(table.read)
    table.broken = True
    asking = [asyncio.create_task(together.get(key)) for key in ("a", "b")]
    await _begun(table, 1)
    table.let.release()
    for each in asking:
        with pytest.raises(ConnectionError):
            await each

    table.broken = False
    table.let.release()

    assert await together.get("a") == 1


async def test_one_who_goes_takes_nothing_from_the_others() -> None:
    """A caller that is cancelled leaves those who asked for the same with their response."""
    table = Table()
    together = BatchLoader(table.read)
    leaving, staying = (asyncio.create_task(together.get("a")) for _ in range(2))
    await _begun(table, 1)
    leaving.cancel()
    table.let.release()

    assert await staying == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving
