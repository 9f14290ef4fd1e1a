"""Deletion by users, and what retention leaves alone."""

import asyncio
from dataclasses import replace

from pipelet.domain.generation.image import InputImage
from pipelet.domain.jobs.idempotency import IdempotencyKey
from pipelet.domain.jobs.job import DeleteResult, Job
from pipelet.domain.jobs.outcome import Failure, FailureKind, Interrupted
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks.delivery import Webhook
from tests.store.conformance.calls import DAY, NOW, claimed, read
from tests.support.jobs import make_job, success

LATER = NOW + 100
HOOK = Webhook(url="https://hooks.example/a", endpoint="https://hooks.example", base_url="https://api.example")


async def finished(store: Store, job: Job, *keys: str) -> None:
    await store.jobs.submit(job)
    lease = await claimed(store)
    assert lease.job.id == job.id
    await store.files.reserve(lease, keys)
    assert await store.leases.finish(lease, success(*keys), NOW + 1)


async def test_everything_of_a_request_goes_at_once(store: Store, second_store: Store) -> None:
    """Its row, log, idempotency key, webhook and files, for every process; others stay as they are."""
    job, other = make_job(webhook=HOOK), make_job()
    once = IdempotencyKey(user="ann", key="once", fingerprint="f", job_id=job.id, expires_at=NOW + DAY)
    await store.jobs.submit_once(job, once)
    lease = await claimed(store)
    await store.files.reserve(lease, ["outputs/a.png", "outputs/b.png"])
    await store.leases.finish(lease, success("outputs/a.png", "outputs/b.png"), NOW + 1)
    await finished(store, other, "outputs/c.png")
    assert job.id == (await read(second_store, job)).id

    deletion = await store.history.delete(job.id, LATER)

    assert DeleteResult.DELETED == deletion.result
    assert {"outputs/a.png", "outputs/b.png"} == set(deletion.orphans)
    assert {"outputs/a.png", "outputs/b.png"} == set(await store.files.orphaned(LATER, 10))
    for each in (store, second_store):
        assert await each.jobs.get(job.id) is None
        assert {} == await each.jobs.revisions([job.id])
        assert 1 == len(await each.jobs.log(job)), "the first entry is made from the job that the caller has"
        assert await each.jobs.find_idempotency_key("ann", "once", NOW + 1) is None
        assert [] == await each.outbox.list_deliveries(None, 10)
    assert (await read(store, other)).images


async def test_a_second_delete_finds_nothing(store: Store, second_store: Store) -> None:
    """Of two at the same time exactly one deletes."""
    job = make_job()
    await finished(store, job, "outputs/a.png")

    found = await asyncio.gather(store.history.delete(job.id, LATER), second_store.history.delete(job.id, LATER))

    assert {DeleteResult.DELETED, DeleteResult.UNKNOWN} == {each.result for each in found}
    assert ["outputs/a.png"] == [key for each in found for key in each.orphans]
    assert DeleteResult.UNKNOWN == (await store.history.delete("0" * 20, LATER)).result


async def test_only_what_has_ended_is_deleted(store: Store) -> None:
    """A request that waits or runs stays whole."""
    queued, running = make_job(priority=-1), make_job()
    await store.jobs.submit(queued)
    await store.jobs.submit(running)
    lease = await claimed(store)

    for job in (queued, running):
        assert DeleteResult.NOT_ENDED == (await store.history.delete(job.id, LATER)).result
        assert await store.jobs.get(job.id) is not None
    assert await store.files.reserve(lease, ["outputs/a.png"])


async def test_files_that_may_still_be_written_go_later(store: Store) -> None:
    """An attempt that lost its lease may be storing files when its request is deleted: they are noted until it must
    have stopped, so that none is left behind."""
    job = make_job()
    await store.jobs.submit(job)
    lost = await claimed(store)
    await store.files.reserve(lost, ["outputs/late.png"])
    await store.leases.finish(lost, Interrupted(Failure(FailureKind.WORKER_LOST, "lost")), NOW + 1)
    lease = await claimed(store)
    await store.files.reserve(lease, ["outputs/a.png"])
    await store.leases.finish(lease, success("outputs/a.png"), NOW + 2)

    deletion = await store.history.delete(job.id, NOW + 3)

    assert ["outputs/a.png"] == deletion.orphans
    assert ["outputs/a.png"] == await store.files.orphaned(NOW + 3, 10)
    assert {"outputs/a.png", "outputs/late.png"} == set(await store.files.orphaned(NOW + 3600, 10))


async def test_input_images_go_with_their_last_request(store: Store) -> None:
    """Those of a request that was retried belong to both."""
    images = (InputImage(key="inputs/a.png", width=64, height=64),)
    job = make_job(input_images=images)
    await store.files.reserve_input_files(job.id, ["inputs/a.png"], NOW + 900)
    await finished(store, job)
    copy = job.clone_for_retry("c" * 20, NOW + 2)
    await finished(store, copy)

    assert [] == (await store.history.delete(job.id, LATER)).orphans
    assert ["inputs/a.png"] == (await store.history.delete(copy.id, LATER)).orphans


async def test_retention_leaves_kept_requests_alone(store: Store) -> None:
    """The operator's retention time and the request's own; both count again when it is not kept any more."""
    kept, own, other = make_job(), replace(make_job(), retention_seconds=1.0), make_job()
    for job in (kept, own, other):
        await finished(store, job)
    assert await store.history.set_kept(kept.id, True)
    assert await store.history.set_kept(own.id, True)

    assert 1 == await store.jobs.delete_finished(NOW + DAY, NOW + DAY, 10)
    assert await store.jobs.get(other.id) is None
    assert (await read(store, kept)).kept
    assert not (await read(store, own)).is_expired(NOW + DAY)

    assert await store.history.set_kept(kept.id, False)
    assert not (await read(store, kept)).kept
    assert 1 == await store.jobs.delete_finished(NOW + DAY, NOW + DAY, 10)
    assert not await store.history.set_kept(kept.id, True)


async def test_a_retry_of_a_kept_request_is_not_kept(store: Store) -> None:
    """Nor does it have the worker of the first."""
    job = make_job()
    await finished(store, job)
    await store.history.set_kept(job.id, True)
    first = await read(store, job)

    copy = first.clone_for_retry("c" * 20, NOW + 2)

    assert ("w1", True) == (first.worker, first.kept)
    assert (None, False) == (copy.worker, copy.kept)
