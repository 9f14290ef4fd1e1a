"""Who gets how much of a thing, and when."""

import asyncio
import contextlib
from contextlib import AsyncExitStack

from pipelet.concurrency.fair_semaphore import FairSemaphore


async def _take(shares: FairSemaphore, held: AsyncExitStack, user: str, units: int) -> bool:
    """Whether it is there at once."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await held.enter_async_context(shares.acquire(user, units))
            return True
    return False


async def test_a_user_has_a_share() -> None:
    """Other users are served in the meantime, also behind one that waits for its own share; none has more than there
    is."""
    shares = FairSemaphore(10, per_user=6)
    async with AsyncExitStack() as held:
        assert await _take(shares, held, "ada", 4)
        more = asyncio.create_task(_take_and_give_back(shares, "ada", 4))
        await asyncio.sleep(0)
        assert await _take(shares, held, "bob", 6)
        assert not await _take(shares, held, "eve", 1)
        assert not more.done()
    await more
    assert 10 == shares.free


async def test_the_user_who_holds_least_is_next() -> None:
    """However many turns another one asked for before."""
    shares, order = FairSemaphore(3, per_user=2), []

    async def one(user: str, gate: asyncio.Event) -> None:
        async with shares.acquire(user):
            order.append(user)
            await gate.wait()

    gates = {user: asyncio.Event() for user in ("ada", "eve", "bob")}
    asked = ["ada", "ada", "eve", "ada", "ada", "eve", "bob"]
    tasks = []
    for user in asked:
        tasks.append(asyncio.create_task(one(user, gates[user])))
        await asyncio.sleep(0)
    gates["ada"].set()
    await asyncio.sleep(0.01)
    for gate in gates.values():
        gate.set()
    await asyncio.gather(*tasks)

    assert ["ada", "ada", "eve", "bob"] == order[:4]
    assert 3 == shares.free


async def test_one_that_is_larger_than_a_share() -> None:
    """It is served, alone of its user."""
    shares = FairSemaphore(10, per_user=6)
    async with AsyncExitStack() as held:
        assert await _take(shares, held, "ada", 100)
        assert not await _take(shares, held, "ada", 1)
        assert 4 == shares.free
    assert 10 == shares.free


async def test_small_ones_do_not_overtake_a_large_one() -> None:
    """Or it would wait forever; when it gives up, they continue."""
    shares = FairSemaphore(10, per_user=10)
    async with AsyncExitStack() as held:
        assert await _take(shares, held, "ada", 5)
        large = asyncio.create_task(_take_and_give_back(shares, "bob", 6))
        await asyncio.sleep(0)
        small = asyncio.create_task(_take_and_give_back(shares, "eve", 1))
        await asyncio.sleep(0)
        assert not small.done()
        large.cancel()
        await small
    assert 10 == shares.free


async def test_a_waiter_that_stops_waiting_loses_nothing() -> None:
    """Whether its turn comes in the same moment, before or after."""
    for is_cancelled_first in (True, False):
        shares = FairSemaphore(1, per_user=1)
        async with AsyncExitStack() as held:
            assert await _take(shares, held, "ada", 1)
            waiting = asyncio.create_task(_take_and_give_back(shares, "bob", 1))
            await asyncio.sleep(0)
            if is_cancelled_first:
                waiting.cancel()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        assert 1 == shares.free


async def _take_and_give_back(shares: FairSemaphore, user: str, units: int) -> None:
    async with shares.acquire(user, units):
        pass
