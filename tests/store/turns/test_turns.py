"""What every store guarantees users who wait at the same time: turns by predicted device time."""

import random
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.queue_order import Arrival, QueueOrder
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import NOW, claimed, drain, read
from tests.support.jobs import APP, make_job, make_key

MODEL = "demo"


async def submit(store: Store, user: str, seconds: int = 3, *, priority: int = 0, app: str = APP) -> Job:
    job = make_job(user=user, priority=priority, app=app)
    return await store.jobs.submit(replace(job, model=MODEL, turn_cost=seconds * 1_000_000))


async def start(store: Store) -> Job:
    """Start the next request, on a worker that never finishes: turns do not depend on ends."""
    return (await claimed(store)).job


async def started_users(store: Store, count: int) -> list[str]:
    return [(await start(store)).user for _ in range(count)]


async def test_a_user_who_asks_once_does_not_wait_for_a_flood(store: Store) -> None:
    """A request that arrives behind a hundred of another user is next, and its place says so before and after its
    submit; within each user it is first come, first served."""
    flood = [await submit(store, "flooder") for _ in range(100)]
    assert flood[0].id == (await start(store)).id

    ahead = await store.queue.work_ahead_of_new(Arrival(app=APP, model=MODEL, priority=0, user="ann"), [APP])
    late = await submit(store, "ann")

    assert 0 == ahead.requests == (await store.queue.work_ahead(late, [APP])).requests
    assert [late.id, *(job.id for job in flood[1:])] == await drain(store)


async def test_turns_are_weighed_by_device_time(store: Store) -> None:
    """Of two users who always wait, the one with requests ten times as large starts a tenth as many."""
    for _ in range(60):
        await submit(store, "small", 1)
    for _ in range(8):
        await submit(store, "large", 10)

    users = Counter(await started_users(store, 44))

    assert 4 == pytest.approx(users["large"], abs=1)


async def test_turns_belong_to_users_not_to_keys_and_not_to_apps(store: Store) -> None:
    """More keys, or requests to two apps of a model, give a user no more turns."""
    keys = [make_key() for _ in range(3)]
    for key in keys:
        await store.api_keys.add(key)
    for number in range(30):
        job = make_job(user="ann", key=keys[number % 3], app=(APP, "other")[number % 2])
        await store.jobs.submit(replace(job, model=MODEL, turn_cost=1_000_000))
    for _ in range(10):
        await submit(store, "bob", 1)

    first = [(await claimed(store)).job.user for _ in range(10)]

    order = [job_id for job_id in await drain(store, APP, "other") if job_id]
    assert 5 == pytest.approx(first.count("bob"), abs=1)
    assert 30 == len(order)


@pytest.mark.parametrize("kept", [0, 1])
async def test_cancelled_requests_cost_no_turn(store: Store, kept: int) -> None:
    """A user who cancels hundreds of waiting requests, all or all but the first, waits no longer with a new one than a
    user who never had the others."""
    jobs = [await submit(store, "ann") for _ in range(300)]
    for _ in range(kept):
        await submit(store, "bob")
    for _ in range(20):
        await submit(store, "cem")
    assert 300 - kept == await store.queue.cancel_queued([job.id for job in jobs[kept:]], NOW)

    again, never = await submit(store, "ann"), await submit(store, "bob")

    places = [(await store.queue.work_ahead(job, [APP])).requests for job in (again, never)]
    assert places[0] + 1 == places[1]


@pytest.mark.parametrize("how", ["expire", "delete"])
async def test_requests_that_never_start_cost_no_turn(store: Store, how: str) -> None:
    """An expired request, and one of a deleted account, is refunded."""
    lost = replace(make_job(user="ann"), model=MODEL, turn_cost=10**9, start_deadline=NOW + 1)
    await store.jobs.submit(lost)
    await submit(store, "bob")
    if how == "expire":
        assert 1 == await store.jobs.expire_overdue(NOW + 2, 10)
    else:
        await store.jobs.cancel(lost.id, NOW)
        assert 1 == await store.jobs.delete_finished(NOW + 1, NOW + 1, 10)

    await submit(store, "ann")

    assert ["bob", "ann"] == await started_users(store, 2)


async def test_one_request_at_a_time_gets_an_equal_share(store: Store) -> None:
    """A user who always keeps exactly one request waiting, next to four with long queues, starts a fifth of all."""
    for user in ("bob", "cem", "dan", "eve"):
        for _ in range(40):
            await submit(store, user)
    await submit(store, "ann")

    started = []
    for _ in range(100):
        started.append((await start(store)).user)
        if started[-1] == "ann":
            await submit(store, "ann")

    assert 20 == pytest.approx(started.count("ann"), abs=1)


async def test_newcomers_do_not_starve_a_user_who_waits(store: Store) -> None:
    """While a new user arrives for every request that starts, one who was served before starts, after 64 times the
    time between their turns."""
    for _ in range(2):
        await submit(store, "ann")
        assert "ann" == (await start(store)).user
    await submit(store, "ann")

    for number in range(3 * 64 // 3 + 2):
        await submit(store, f"newcomer-{number}")
        if (await start(store)).user == "ann":
            break
    else:
        pytest.fail("it never started")


async def test_users_who_always_wait_get_equal_device_time(store: Store) -> None:
    """Over every window of 200 requests, Jain's index of eleven users' seconds is at least 0.95."""
    rng, users = random.Random(1), [f"user-{number}" for number in range(11)]
    waiting: Counter[str] = Counter()
    started: list[tuple[str, float]] = []
    for _ in range(320):
        for user in users:
            while waiting[user] < 2:
                await submit(store, user, rng.choices((1, 3, 8, 25), (45, 35, 15, 5))[0])
                waiting[user] += 1
        job = await start(store)
        waiting[job.user] -= 1
        started.append((job.user, job.turn_cost / 1e6))

    for begin in range(len(started) - 200):
        seconds: defaultdict[str, float] = defaultdict(float)
        for user, each in started[begin : begin + 200]:
            seconds[user] += each
        assert sum(seconds.values()) ** 2 / (11 * sum(each**2 for each in seconds.values())) >= 0.95


async def test_in_the_order_fifo_the_first_to_come_is_the_first_to_start(store: Store, second_store: Store) -> None:
    """The order holds for all processes. Requests that wait when it changes keep their places: before all that come in
    the order `fifo`, and these before all that come afterwards, when turns count again."""
    assert QueueOrder.FAIR == await store.queue.order()
    waiting = [await submit(store, "ann") for _ in range(3)]
    await store.queue.set_order(QueueOrder.FIFO)
    assert QueueOrder.FIFO == await second_store.queue.order()
    fifo = [await submit(second_store, user) for user in ("ann", "ann", "bob", "ann")]
    await second_store.queue.set_order(QueueOrder.FAIR)
    fair = [await submit(store, user) for user in ("ann", "ann", "bob")]

    assert [job.id for job in [*waiting, *fifo, fair[2], *fair[:2]]] == await drain(store)


async def test_a_changed_priority_moves_the_charge(store: Store) -> None:
    """A request that moves to another priority gets the turn of a newcomer there, its user's next request in the old
    one is charged as if it had never been there, and the log shows the change."""
    moved = await submit(store, "ann", 100)
    for priority in (1, 1, 0):
        await submit(store, "bob", priority=priority)

    assert await store.queue.set_priority(moved.id, 1, NOW)
    assert not await store.queue.set_priority("x" * 20, 1, NOW)
    for user in ("ann", "bob"):
        await submit(store, user)

    changed = await read(store, moved)
    assert 1 == changed.priority
    assert ["Queued with priority 0.", "Priority changed from 0 to 1."] == [
        entry.message for entry in await store.jobs.log(changed)
    ]
    assert ["ann", "bob", "bob", "bob", "ann", "bob"] == await started_users(store, 6)


async def test_a_lost_request_keeps_its_turn(store: Store) -> None:
    """A request whose worker is lost starts before those of others with later turns, and is charged once."""
    lost = await submit(store, "ann")
    lease = await claimed(store, seconds=1)
    for user in ("bob", "ann"):
        await submit(store, user)
    assert [lost.id] == [job.id for job in await store.leases.requeue_expired(NOW + 2)]

    assert ["ann", "bob", "ann"] == await started_users(store, 3)
    assert lost.id == lease.job.id


@pytest.mark.parametrize("order", [*QueueOrder])
async def test_requests_of_a_key_at_its_limit_are_passed_together(store: Store, order: QueueOrder) -> None:
    """However many wait, of other limited keys and of keys without limits the right one starts; smaller requests of the
    key pass a batch that does not fit."""
    await store.queue.set_order(order)
    full, other = make_key(max_running_images=2), make_key(max_running_images=1)
    for key in (full, other):
        await store.api_keys.add(key)

    async def submit_with(key: object, user: str, batch_size: int = 1, priority: int = 0) -> str:
        job = make_job(key=key, user=user, batch_size=batch_size, priority=priority)  # type: ignore[arg-type]
        return (await store.jobs.submit(replace(job, model=MODEL, turn_cost=1_000))).id

    running = await submit_with(full, "ann", priority=9)
    assert running == (await start(store)).id
    batches = [await submit_with(full, "ann", 2, priority=5) for _ in range(50)]
    single = await submit_with(full, "ann", 1, priority=5)
    limited = [await submit_with(other, "bob") for _ in range(2)]
    free = await submit_with(None, "cem")

    assert [single, limited[0], free] == await drain(store)
    assert 50 == len(batches)
