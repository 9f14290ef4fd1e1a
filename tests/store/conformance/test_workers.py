"""What every store guarantees for the names and drains of workers."""

import asyncio
from typing import Any

from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.domain.ports.store import Store
from tests.support.jobs import APP


def report(name: str, incarnation: str = "i", **times: float) -> WorkerHeartbeat:
    facts: dict[str, Any] = {
        "model": "m",
        "profile": "demo on cpu",
        "apps": (APP,),
        "version": "0",
        "ready": True,
        "problem": None,
    }
    return WorkerHeartbeat(name=name, incarnation=incarnation, **facts | {"seen_at": 1.0, "expires_at": 5.0, **times})


async def test_a_worker_learns_of_its_drain_when_it_reports(store: Store, second_store: Store) -> None:
    """A worker learns of its drain with its next heartbeat and each later one, and other processes see it."""
    assert HeartbeatReply.CONTINUE == await store.workers.heartbeat(report("w1"))
    await store.workers.heartbeat(report("w2"))

    assert await second_store.workers.drain("w1", 2.0)

    assert [True, False] == [worker.draining for worker in await store.workers.live(2.0)]
    assert HeartbeatReply.DRAIN == await store.workers.heartbeat(report("w1", seen_at=3.0, expires_at=8.0))
    assert HeartbeatReply.DRAIN == await store.workers.heartbeat(report("w1", seen_at=4.0, expires_at=9.0))
    assert HeartbeatReply.CONTINUE == await store.workers.heartbeat(report("w2", seen_at=4.0, expires_at=9.0))


async def test_a_drain_can_be_taken_back(store: Store, second_store: Store) -> None:
    """Of several operators who do the same, one is told that it changed something."""
    await store.workers.heartbeat(report("w1"))
    stores = (store, second_store, store)

    drained = await asyncio.gather(*(each.workers.drain("w1", 2.0) for each in stores))
    undrained = await asyncio.gather(*(each.workers.undrain("w1", 2.0) for each in stores))

    assert [False, False, True] == sorted(drained) == sorted(undrained)
    assert HeartbeatReply.CONTINUE == await store.workers.heartbeat(report("w1", seen_at=3.0, expires_at=8.0))
    assert not await store.workers.undrain("w2", 2.0)


async def test_only_live_workers_can_be_drained(store: Store) -> None:
    """A worker whose heartbeat has expired, and one that never was, are unknown."""
    await store.workers.heartbeat(report("w1"))

    assert not await store.workers.drain("w1", 5.0)
    assert not await store.workers.drain("w2", 2.0)


async def test_a_name_belongs_to_one_process_at_a_time(store: Store, second_store: Store) -> None:
    """While a worker reports, another process with its name is refused and changes nothing; once its last report has
    expired, the name belongs to the other, and the first is refused."""
    first, late = report("w1", "first"), report("w1", "first", seen_at=6.0, expires_at=11.0)
    await store.workers.heartbeat(first)

    assert HeartbeatReply.NAME_TAKEN == await second_store.workers.heartbeat(report("w1", "other", seen_at=4.9))
    assert [first] == await store.workers.live(2.0)

    other = report("w1", "other", seen_at=5.0, expires_at=9.0)
    assert HeartbeatReply.CONTINUE == await second_store.workers.heartbeat(other)
    assert HeartbeatReply.NAME_TAKEN == await store.workers.heartbeat(late)
    assert [other] == await store.workers.live(5.0)


async def test_one_of_several_processes_gets_a_name(store: Store, second_store: Store) -> None:
    """Of processes that start together under one name, exactly one gets it."""
    stores = [store, second_store] * 4
    responses = await asyncio.gather(*(each.workers.heartbeat(report("w1", str(k))) for k, each in enumerate(stores)))

    assert [HeartbeatReply.CONTINUE] == [
        response for response in responses if response is not HeartbeatReply.NAME_TAKEN
    ]


async def test_a_worker_frees_only_its_own_name(store: Store) -> None:
    """A name is free at once if its worker has deregistered or is known to be dead; no other worker can free it."""
    await store.workers.heartbeat(report("w1", "first"))
    await store.workers.deregister("w1", "other")
    assert HeartbeatReply.NAME_TAKEN == await store.workers.heartbeat(report("w1", "other", seen_at=2.0))

    await store.workers.deregister("w1", "first")
    assert HeartbeatReply.CONTINUE == await store.workers.heartbeat(report("w1", "other", seen_at=2.0))

    await store.leases.requeue_of_worker("w1", 3.0)
    assert HeartbeatReply.CONTINUE == await store.workers.heartbeat(report("w1", "third", seen_at=3.0))
