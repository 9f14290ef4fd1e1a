"""The feed of previews: what it asks workers for, and what it hands to whom."""

import asyncio
from functools import partial

import pytest

from pipelet.domain.generation.preview import WATCH_SECONDS, Preview
from pipelet.domain.jobs.job import Lease
from pipelet.domain.ports.store import Store
from pipelet.services.requests.previews import PreviewFeed
from tests.support.jobs import FakeClock, claim_request, make_job, success
from tests.support.waiting import until


@pytest.fixture
def clock(store: Store) -> FakeClock:
    clock = FakeClock()
    store.clock = clock
    return clock


async def running(store: Store) -> Lease:
    await store.jobs.submit(make_job())
    lease = await store.leases.claim(claim_request(seconds=600))
    assert lease is not None
    return lease


async def asked_until(store: Store, job_id: str, later_than: float) -> bool:
    state = (await store.previews.states([job_id]))[job_id]
    return (state.wanted_until or 0.0) > later_than


def preview(step: int) -> Preview:
    return Preview(index=0, step=step, image=b"webp %d" % step, made_at=1_000_000.0 + step)


async def test_a_watcher_gets_each_preview_once(store: Store, second_store: Store, clock: FakeClock) -> None:
    """The request is asked for while it waits, and again before that expires; when no client watches, nothing asks."""
    feed, updated = PreviewFeed(store), asyncio.Event()
    job = await store.jobs.submit(make_job())
    async with asyncio.timeout(20):
        with feed.watch([job.id], "ann", updated) as watcher:
            await until(partial(asked_until, store, job.id, clock.now()))
            lease = await second_store.leases.claim(claim_request(seconds=600))
            assert lease is not None
            for step in (2, 3):
                await second_store.previews.save(lease, preview(step))
                await updated.wait()
                updated.clear()
                assert {job.id: preview(step)} == watcher.take()
            assert {} == watcher.take()
            clock.time += WATCH_SECONDS * 0.7
            await until(partial(asked_until, store, job.id, clock.now() + WATCH_SECONDS / 2))
        await until(lambda: not feed._polling.is_running)

    clock.time += WATCH_SECONDS + 1
    assert {} == await store.leases.list_signals("w1", clock.now())


async def test_another_users_request_is_as_an_unknown_one(store: Store, clock: FakeClock) -> None:
    """Who names its id has nothing asked for, and gets no preview, also while its owner watches."""
    feed, mine, theirs = PreviewFeed(store), asyncio.Event(), asyncio.Event()
    lease = await running(store)
    async with asyncio.timeout(20):
        with feed.watch([lease.job.id, "x" * 20], "bob", theirs) as other:
            await asyncio.sleep(0.3)  # two polls: there is nothing to wait for
            assert not await asked_until(store, lease.job.id, 0.0)
            with feed.watch([lease.job.id], "ann", mine) as own:
                await until(partial(asked_until, store, lease.job.id, clock.now()))
                await store.previews.save(lease, preview(2))
                await mine.wait()
            assert ({}, {lease.job.id: preview(2)}) == (other.take(), own.take())
    assert not theirs.is_set()


async def test_a_read_asks_for_more(store: Store, clock: FakeClock) -> None:
    """The first one finds nothing; later ones the newest, until the request has ended."""
    feed, lease = PreviewFeed(store), await running(store)
    job = lease.job
    assert await feed.read(job) is None
    assert await asked_until(store, job.id, clock.now())
    for step in (2, 3):
        await store.previews.save(lease, preview(step))
        assert preview(step) == await feed.read(job)

    await store.leases.finish(lease, success("outputs/a.png"), clock.now())
    assert await feed.read(job) is None
    ended = await store.jobs.get(job.id)
    assert ended is not None
    assert await feed.read(ended) is None
