"""Values that are read once for many readers."""

import asyncio

from pipelet.concurrency.cached_value import CachedValue


class Source:
    """Returns how often it was read, with a clock that the test sets."""

    def __init__(self) -> None:
        self.reads = 0
        self.time = 1000.0
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> int:
        self.reads += 1
        await self.gate.wait()
        return self.reads

    def cached(self, ttl_seconds: float) -> CachedValue[int]:
        return CachedValue(self.read, ttl_seconds=ttl_seconds, now=lambda: self.time)


async def test_a_value_is_read_again_when_its_ttl_has_passed() -> None:
    """Until then the cached value is returned, and a clock that was set back makes it stale."""
    source = Source()
    cached = source.cached(2.0)

    assert [1, 1] == [await cached.get(), await cached.get()]
    source.time += 1.9
    assert 1 == await cached.get()
    source.time += 0.1
    assert 2 == await cached.get()
    source.time -= 10
    assert 3 == await cached.get()


async def test_concurrent_readers_share_one_read() -> None:
    """A reader that is cancelled leaves the read to the others."""
    source = Source()
    source.gate.clear()
    cached = source.cached(2.0)
    first, second = (asyncio.create_task(cached.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.gate.set()

    assert 1 == await second
    assert 1 == source.reads
