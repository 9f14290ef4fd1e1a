"""What every store guarantees for files, keys, workers, cost models, and keys that sign webhooks."""

import asyncio

import pytest

from pipelet.domain.accounts.api_keys import ApiKey, hash_secret, new_secret
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.capacity.cost_model import CostModel, Work
from pipelet.domain.capacity.workers import WorkerHeartbeat
from pipelet.domain.errors import RotationTooSoon
from pipelet.domain.ids import new_token
from pipelet.domain.jobs.outcome import Failure, FailureKind, Interrupted
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks.signing_keys import Role, initial_keys, published_keys, replace_all, rotate
from tests.store.conformance.calls import DAY, NOW
from tests.support.jobs import claim_request, make_job, success

FOR_EVER = 2_000_000.0


async def test_a_file_name_is_given_once(store: Store) -> None:
    """Two attempts never write one file: a taken name is refused, and so are all names requested with it."""
    await store.jobs.submit(make_job())
    await store.jobs.submit(make_job())
    first, second = await store.leases.claim(claim_request()), await store.leases.claim(claim_request())
    assert first is not None
    assert second is not None
    assert await store.files.reserve(first, ["outputs/a.png"])

    with pytest.raises(KeyError):
        await store.files.reserve(second, ["outputs/b.png", "outputs/a.png"])

    assert await store.files.reserve(second, ["outputs/b.png"])


async def test_files_of_an_interrupted_attempt_become_orphans(store: Store) -> None:
    """A file that an attempt may have written and that no result names is found once its writer must have stopped."""
    await store.jobs.submit(make_job())
    lease = await store.leases.claim(claim_request())
    assert lease is not None
    await store.files.reserve(lease, ["outputs/lost.png"])
    await store.leases.finish(lease, Interrupted(Failure(FailureKind.WORKER_LOST, "lost")), 1_000_001.0)

    assert [] == await store.files.orphaned(1_000_002.0, 10)
    assert ["outputs/lost.png"] == await store.files.orphaned(FOR_EVER, 10)
    await store.files.delete_rows(["outputs/lost.png"])
    assert [] == await store.files.orphaned(FOR_EVER, 10)


async def test_files_of_a_result_stay_as_long_as_the_result(store: Store) -> None:
    """A finished job's files are kept until the job is deleted, and no longer."""
    job = await store.jobs.submit(make_job())
    lease = await store.leases.claim(claim_request())
    assert lease is not None
    await store.files.reserve(lease, ["outputs/a.png", "outputs/spare.png"])
    await store.leases.finish(lease, success("outputs/a.png"), 1_000_001.0)
    assert ["outputs/spare.png"] == await store.files.orphaned(FOR_EVER, 10)
    await store.files.delete_rows(["outputs/spare.png"])

    assert 0 == await store.jobs.delete_finished(1_000_001.0, 1_000_002.0, 10)
    assert 1 == await store.jobs.delete_finished(1_000_001.5, 1_000_002.0, 10)

    assert await store.jobs.get(job.id) is None
    assert ["outputs/a.png"] == await store.files.orphaned(1_000_002.0, 10)


async def test_only_finished_jobs_are_deleted(store: Store) -> None:
    """Retention never deletes queued or running jobs, however old they are."""
    waiting = await store.jobs.submit(make_job(submitted_at=1.0))
    await store.jobs.submit(make_job(submitted_at=1.0, priority=1))
    await store.leases.claim(claim_request())

    assert 0 == await store.jobs.delete_finished(FOR_EVER, FOR_EVER, 10)
    assert waiting == await store.jobs.get(waiting.id)


async def test_ends_are_listed_in_order(store: Store) -> None:
    """Jobs that ended after a given time are listed by their end, whatever ended them."""
    jobs = [await store.jobs.submit(make_job()) for _ in range(3)]
    await store.jobs.cancel(jobs[2].id, 1_000_005.0)
    for at in (1_000_009.0, 1_000_007.0):
        lease = await store.leases.claim(claim_request())
        assert lease is not None
        await store.leases.finish(lease, success(), at)

    ended = [job.id for job in await store.jobs.finished_since(1_000_005.0, 10)]

    assert [jobs[1].id, jobs[0].id] == ended


async def test_a_key_is_found_by_its_hash_and_can_be_revoked(store: Store) -> None:
    """Keys are listed and found with all their fields; revoking one again keeps the first time; unknown ids are
    reported."""
    secret = new_secret()
    key = ApiKey(
        id="k1",
        name="laptop",
        user="ann",
        hash=hash_secret(secret),
        created_at=1.0,
        expires_at=9.0,
        scopes=frozenset({Scope.OBSERVE, Scope.KEYS}),
        max_priority=-3,
    )
    await store.api_keys.add(key)

    assert [key] == await store.api_keys.list_keys()
    assert key == await store.api_keys.find(hash_secret(secret))
    assert await store.api_keys.find(hash_secret(new_secret())) is None
    assert await store.api_keys.revoke("k1", 5.0)
    assert await store.api_keys.revoke("k1", 6.0)
    assert not await store.api_keys.revoke("k2", 5.0)
    revoked = await store.api_keys.find(hash_secret(secret))
    assert revoked is not None
    assert 5.0 == revoked.revoked_at


async def test_workers_are_live_while_they_report(store: Store) -> None:
    """A worker is live from its report until the time it gave; a later report replaces the earlier one."""
    report = WorkerHeartbeat(
        name="w1",
        model="m",
        profile="demo on cpu",
        apps=("a", "b"),
        version="0",
        ready=False,
        problem="no model",
        seen_at=1.0,
        expires_at=5.0,
        incarnation="i",
    )
    await store.workers.heartbeat(report)
    assert [report] == await store.workers.live(4.9)
    assert [] == await store.workers.live(5.0)

    await store.workers.heartbeat(
        WorkerHeartbeat(
            name="w1",
            model="m",
            profile="demo",
            apps=(),
            version="0",
            ready=True,
            problem=None,
            seen_at=4.0,
            expires_at=9.0,
            incarnation="i",
        )
    )
    assert [True] == [worker.ready for worker in await store.workers.live(5.0)]

    await store.workers.deregister("w1", "i")
    assert [] == await store.workers.live(5.0)


async def test_cost_models_are_kept(store: Store) -> None:
    """Observations add up in the store as they do in memory."""
    works = [(Work(1, 8, 0.1, 0.8, 0.08), 1.5), (Work(1, 4, 1.0, 4.0, 4.0), 3.25)]
    expected = CostModel()
    for work, seconds in works:
        await store.workers.add_observation("demo on cpu", "generate", work, seconds)
        expected = expected.observe(work, seconds)

    assert {("demo on cpu", "generate"): expected} == await store.workers.cost_models()


async def test_a_store_that_can_be_written_passes_its_check(store: Store) -> None:
    """The check changes nothing, and notifies no listener."""
    async with store.subscribe_work() as work, store.subscribe_changes() as changed:
        await asyncio.sleep(0.3)  # opening may notify
        work.clear()
        changed.clear()
        await store.check()
        await asyncio.sleep(0.2)

        assert not work.is_set()
        assert not changed.is_set()


def generate_keypair() -> tuple[bytes, bytes]:
    return new_token().encode(), new_token().encode()


async def test_processes_that_start_together_sign_with_one_key(store: Store, second_store: Store) -> None:
    """If several processes create the first key at the same time, one key signs, and one is next."""
    stores = (store, second_store) * 3
    await asyncio.gather(
        *(each.outbox.update_keys(lambda keys: initial_keys(keys, generate_keypair, NOW)) for each in stores)
    )

    keys = await store.outbox.keys()

    assert {Role.SIGNING, Role.NEXT} == {key.role for key in keys}
    assert 2 == len(keys)
    assert keys == await second_store.outbox.keys()


async def test_rotating_changes_to_a_published_key(store: Store) -> None:
    """The next key, published for at least a day, signs; the previous one stays published for more than a day and is
    then deleted. All can be replaced at once."""
    outbox = store.outbox
    await outbox.update_keys(lambda keys: initial_keys(keys, generate_keypair, NOW))
    before = {key.role: key for key in await outbox.keys()}

    with pytest.raises(RotationTooSoon, match="--leaked"):
        await outbox.update_keys(lambda keys: rotate(keys, generate_keypair, NOW + DAY - 1))
    assert before == {key.role: key for key in await outbox.keys()}
    await outbox.update_keys(lambda keys: rotate(keys, generate_keypair, NOW + DAY))

    keys = {key.role: key for key in await outbox.keys()}
    assert before[Role.NEXT].public == keys[Role.SIGNING].public
    assert before[Role.SIGNING].public == keys[Role.RETIRED].public
    assert keys[Role.NEXT].public not in {key.public for key in before.values()}
    assert 3 == len(published_keys(await outbox.keys(), NOW + 2 * DAY))
    assert 2 == len(published_keys(await outbox.keys(), NOW + 4 * DAY))
    await outbox.update_keys(lambda _: replace_all(generate_keypair, NOW + 5 * DAY))
    assert not {key.public for key in keys.values()} & {key.public for key in await outbox.keys()}
