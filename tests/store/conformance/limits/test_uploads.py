"""What every store guarantees for uploads: their files, their users, and the room that they take."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pipelet.domain.errors import QuotaExceeded, StorageLimitExceeded, TooBusy, UploadLimitExceeded
from pipelet.domain.ids import new_request_id
from pipelet.domain.ports.store import Store
from pipelet.domain.uploads import MAX_UNUSED, Upload, new_upload_key
from tests.store.conformance.calls import DAY, NOW

SIZE = 100


def new_upload(**changes: Any) -> Upload:
    usual = Upload(id=new_request_id(), user="ann", key=new_upload_key("png"), size=SIZE, expires_at=NOW + 900)
    return replace(usual, **changes)


async def uploaded(store: Store, *, is_limited: bool = True, **changes: Any) -> Upload:
    upload = new_upload(**changes)
    await store.uploads.note(upload, is_limited=is_limited)
    assert await store.uploads.confirm(upload.id, NOW + DAY)
    return replace(upload, expires_at=NOW + DAY)


async def stored(store: Store, user: str = "ann") -> int:
    return (await store.limits.quota(user)).stored_bytes


async def test_an_upload_counts_until_it_is_deleted(store: Store) -> None:
    """From the note on; then its file is an orphan, which maintenance finds if its process is killed."""
    upload = await uploaded(store)
    assert (SIZE, 0) == (await stored(store), await stored(store, "bob"))
    assert [] == await store.files.orphaned(NOW + DAY, 10)

    assert upload.key == await store.uploads.delete(upload.id, "ann", NOW)

    assert 0 == await stored(store)
    assert [upload.key] == await store.files.orphaned(NOW, 10)
    assert await store.uploads.delete(upload.id, "ann", NOW) is None
    await store.files.delete_rows([upload.key])
    assert (0, []) == (await stored(store), await store.files.orphaned(NOW, 10))


async def test_an_upload_is_its_users_alone(store: Store) -> None:
    """Another user neither finds nor deletes it."""
    upload = await uploaded(store)

    assert upload == await store.uploads.find(upload.key, "ann", NOW)
    assert await store.uploads.find(upload.key, "bob", NOW) is None
    assert await store.uploads.find("uploads/unknown.png", "ann", NOW) is None
    assert await store.uploads.delete(upload.id, "bob", NOW) is None
    assert await store.uploads.find(upload.key, "ann", NOW) is not None


async def test_one_of_two_uploads_of_the_same_key_is_told_to_try_again(store: Store) -> None:
    """While the other is written, and once more while its file is deleted; neither is counted twice."""
    first, second = new_upload(key="uploads/a.png"), new_upload(key="uploads/a.png")
    await store.uploads.note(first, is_limited=True)
    with pytest.raises(TooBusy, match="by another call"):
        await store.uploads.note(second, is_limited=True)
    await store.uploads.delete(first.id, "ann", NOW)
    with pytest.raises(TooBusy):
        await store.uploads.note(second, is_limited=True)
    await store.files.delete_rows([first.key])
    await store.uploads.note(second, is_limited=True)

    assert SIZE == await stored(store)


async def test_an_upload_ends_with_its_time(store: Store) -> None:
    """It is not found from then on, and maintenance frees its room and its file in steps."""
    uploads = [await uploaded(store) for _ in range(3)]
    kept = await uploaded(store)
    await store.uploads.confirm(kept.id, NOW + 2 * DAY)

    assert await store.uploads.find(uploads[0].key, "ann", NOW + DAY) is None
    assert await store.uploads.delete(uploads[0].id, "ann", NOW + DAY) is None
    assert 0 == await store.uploads.delete_expired(NOW + DAY - 1, 10)
    assert [2, 1, 0] == [await store.uploads.delete_expired(NOW + DAY, 2) for _ in range(3)]

    assert {each.key for each in uploads} == set(await store.files.orphaned(NOW, 10))
    assert SIZE == await stored(store)


async def test_an_upload_whose_process_is_killed_leaves_nothing(store: Store) -> None:
    """Noted, perhaps written, and never confirmed: no request can use it, and it is deleted after a while. A process
    that comes back after that is told."""
    lost = new_upload()
    await store.uploads.note(lost, is_limited=True)

    assert await store.uploads.find(lost.key, "ann", NOW) is None
    assert 1 == await store.uploads.delete_expired(NOW + 900, 10)
    assert not await store.uploads.confirm(lost.id, NOW + DAY)
    assert ([lost.key], 0) == (await store.files.orphaned(NOW, 10), await stored(store))


async def test_storage_is_never_exceeded(store: Store, second_store: Store) -> None:
    """Of uploads in two processes at once those are taken that fit, to the byte; a refused one leaves nothing. A key
    to which limits do not apply is not refused."""
    await store.limits.change("ann", {"max_stored_bytes": 5 * SIZE})
    wanted = [new_upload() for _ in range(12)]

    outcomes = await asyncio.gather(
        *((store, second_store)[k % 2].uploads.note(each, is_limited=True) for k, each in enumerate(wanted)),
        return_exceptions=True,
    )

    assert 7 == sum(isinstance(each, StorageLimitExceeded) for each in outcomes), outcomes
    assert 5 * SIZE == await stored(store)
    with pytest.raises(StorageLimitExceeded, match=r"of at most .* GiB are used\. Delete"):
        await store.uploads.note(new_upload(size=1), is_limited=True)
    await store.uploads.note(new_upload(size=1), is_limited=False)
    for upload, outcome in zip(wanted, outcomes, strict=True):
        assert (outcome is None) == (await store.uploads.delete(upload.id, "ann", NOW) is not None)
    assert 1 == await stored(store)
    with pytest.raises(StorageLimitExceeded, match="and this file has"):
        await store.uploads.note(new_upload(size=5 * SIZE), is_limited=True)
    assert 5 == len(await store.files.orphaned(NOW, 100))


async def test_unused_uploads_are_limited(store: Store, second_store: Store) -> None:
    """For each user, whatever the key; those that a submit has read do not count, and other users are not affected."""
    uploads = [await uploaded(store, is_limited=False) for _ in range(MAX_UNUSED - 1)]

    outcomes = await asyncio.gather(
        *((store, second_store)[k % 2].uploads.note(new_upload(), is_limited=False) for k in range(6)),
        return_exceptions=True,
    )

    assert 5 == sum(isinstance(each, UploadLimitExceeded) for each in outcomes), outcomes
    assert MAX_UNUSED * SIZE == await stored(store)
    await uploaded(store, user="bob")
    await store.uploads.note_use(uploads[0].id)
    used = await store.uploads.find(uploads[0].key, "ann", NOW)
    assert used is not None
    assert used.is_used
    await uploaded(store)
    with pytest.raises(QuotaExceeded, match="DELETE /api/v1/uploads"):
        await uploaded(store)
