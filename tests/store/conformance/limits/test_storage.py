"""What every store guarantees for the bytes that a user's files take."""

import asyncio
from dataclasses import replace

import pytest

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import QuotaExceeded, StorageLimitExceeded
from pipelet.domain.generation.image import InputImage
from pipelet.domain.ids import new_token
from pipelet.domain.jobs.job import Job, Lease
from pipelet.domain.jobs.outcome import Cancelled, Failed, Failure, FailureKind, Outcome, Released
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import LOST, NOW, claimed
from tests.support.jobs import claim_request, make_job, make_key, success

SIZE = 10
"""Bytes of each file of `success`."""


async def stored(store: Store, user: str = "ann") -> int:
    return (await store.limits.quota(user)).stored_bytes


async def finish(store: Store, lease: Lease, outcome: Outcome, *keys: str) -> None:
    await store.files.reserve(lease, keys)
    assert await store.leases.finish(lease, outcome, NOW)


async def succeed(store: Store, lease: Lease, files: int = 1) -> None:
    keys = [f"outputs/{new_token()}.png" for _ in range(files)]
    await finish(store, lease, success(*keys), *keys)


async def submitted_edit(store: Store, *keys: str, size: int = 100, **options: object) -> Job:
    input_images = tuple(InputImage(key=key, width=64, height=64) for key in keys)
    job = replace(make_job(input_images=input_images), **options)  # type: ignore[arg-type]
    await store.files.reserve_input_files(job.id, keys, NOW + 900, user="ann", size=size)
    return await store.jobs.submit(job)


async def limited(store: Store, max_stored_bytes: int) -> ApiKey:
    key = make_key(user_limits=await store.limits.change("ann", {"max_stored_bytes": max_stored_bytes}))
    await store.api_keys.add(key)
    return key


async def test_results_count_until_they_are_deleted(store: Store) -> None:
    """From the end of the request until retention deletes it; files of other users do not count."""
    for user in ("ann", "bob", "ann"):
        await store.jobs.submit(make_job(user=user))
        await succeed(store, await claimed(store), files=2)

    assert (4 * SIZE, 2 * SIZE) == (await stored(store), await stored(store, "bob"))
    assert 3 == await store.jobs.delete_finished(NOW + 1, NOW + 2, 10)
    assert (0, 0) == (await stored(store), await stored(store, "bob"))
    await store.files.delete_rows(await store.files.orphaned(NOW + 2, 10))
    assert 0 == await stored(store)


@pytest.mark.parametrize("outcome", [LOST, Released("stopping"), Failed(Failure(FailureKind.INTERNAL, "broken"))])
async def test_files_of_an_attempt_without_a_result_do_not_count(store: Store, outcome: Outcome) -> None:
    """Whatever a worker reserved or wrote before it was lost, stopped or failed."""
    await store.jobs.submit(make_job())

    await finish(store, await claimed(store), outcome, "outputs/a.png", "outputs/b.png")

    assert 0 == await stored(store)


async def test_images_that_were_finished_before_a_cancel_count(store: Store) -> None:
    """They belong to the cancelled request, and are deleted with it."""
    await store.jobs.submit(make_job(batch_size=2))

    await finish(
        store, await claimed(store), Cancelled(success("outputs/a.png").images), "outputs/a.png", "outputs/b.png"
    )

    assert SIZE == await stored(store)
    assert 1 == await store.jobs.delete_finished(NOW + 1, NOW + 2, 10)
    assert 0 == await stored(store)


async def test_a_lease_that_was_lost_counts_nothing(store: Store) -> None:
    """The attempt that ends the request is counted, once."""
    await store.jobs.submit(make_job())
    lost = await claimed(store, seconds=1)
    await store.files.reserve(lost, ["outputs/lost.png"])
    assert 1 == len(await store.leases.requeue_expired(NOW + 2))
    won = await claimed(store)
    await succeed(store, won)

    assert not await store.leases.finish(lost, success("outputs/lost.png"), NOW + 3)
    assert not await store.leases.finish(won, success("outputs/lost.png"), NOW + 3)

    assert SIZE == await stored(store)


async def test_input_images_count_from_the_submit_on(store: Store) -> None:
    """Images of a refused submit do not count; those of several requests count once, until the last is deleted."""
    await store.files.reserve_input_files("refused", ["inputs/r.png"], NOW + 900, user="ann", size=7)
    assert 0 == await stored(store)
    first = await submitted_edit(store, "inputs/a.png", "inputs/b.png")
    assert 200 == await stored(store)
    await store.jobs.cancel(first.id, NOW)
    second = await store.jobs.submit(first.clone_for_retry("second", NOW))
    assert 200 == await stored(store)

    assert 1 == await store.jobs.delete_finished(NOW + 1, NOW + 2, 10)
    assert 200 == await stored(store)
    await store.jobs.cancel(second.id, NOW)
    assert 1 == await store.jobs.delete_finished(NOW + 1, NOW + 2, 10)
    assert 0 == await stored(store)


async def test_an_input_that_is_not_kept_counts_until_the_end(store: Store) -> None:
    """A request whose input is deleted at its end keeps its results only."""
    await submitted_edit(store, "inputs/a.png", store_input=False, app=make_job().app)
    assert 100 == await stored(store)

    await succeed(store, await claimed(store))

    assert SIZE == await stored(store)


async def test_a_full_store_refuses_submits(store: Store) -> None:
    """As much as is allowed is too much; the message says what is used and how to free it, and a refusal changes
    nothing. Other users are not affected."""
    key = await limited(store, 2 * SIZE)
    for _ in range(2):
        await store.jobs.submit(make_job(key=key))
    for _ in range(2):
        await succeed(store, await claimed(store))
    refused = make_job(key=key)

    with pytest.raises(StorageLimitExceeded, match=r"of at most .* GiB are used\. Delete .* or wait"):
        await store.jobs.submit(refused)

    assert await store.jobs.get(refused.id) is None
    assert 0 == (await store.limits.quota("ann")).queued_images
    await store.jobs.submit(replace(make_job(), user="bob"))
    await store.jobs.delete_finished(NOW + 1, NOW + 2, 1)
    await store.jobs.submit(refused)


async def test_a_full_store_claims_no_input_files(store: Store) -> None:
    """The files of a refused edit stay reserved, and are deleted later."""
    key = await limited(store, SIZE)
    await store.jobs.submit(make_job(key=key))
    await succeed(store, await claimed(store))

    with pytest.raises(QuotaExceeded):
        await submitted_edit(store, "inputs/a.png", is_user_limited=True, key_id=key.id)

    assert ["inputs/a.png"] == await store.files.orphaned(NOW + 900, 10)


async def test_racing_ends_and_deletes_are_counted_exactly(store: Store, second_store: Store) -> None:
    """Two processes end requests of one user, and delete others, at the same time."""
    stores = (store, second_store)
    for _ in range(24):
        await store.jobs.submit(make_job())
    leases = [await store.leases.claim(claim_request()) for _ in range(24)]
    held = [lease for lease in leases if lease]
    await asyncio.gather(*(succeed(stores[k % 2], lease, files=1 + k % 3) for k, lease in enumerate(held[:12])))
    assert 24 * SIZE == await stored(store)

    await asyncio.gather(
        *(succeed(stores[k % 2], lease, files=1 + k % 3) for k, lease in enumerate(held[12:])),
        *(each.jobs.delete_finished(NOW + 1, NOW + 2, 3) for each in stores),
    )
    while any([await each.jobs.delete_finished(NOW + 1, NOW + 2, 50) for each in stores]):
        pass

    assert 0 == await stored(store)
