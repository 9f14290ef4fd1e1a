"""What operators and streams read: failures, running requests, counts, stored images, changes and deletions."""

from dataclasses import replace

from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.ports.changes import RequestOfUser
from pipelet.domain.ports.reports import PriorityCount, UserCount
from pipelet.domain.ports.store import Store
from tests.store.conformance.calls import NOW, claimed
from tests.support.jobs import APP, EDIT, make_job, success


async def fail(store: Store, message: str, now: float = NOW, **options: object) -> str:
    await store.jobs.submit(make_job(submitted_at=now - 5, **options))  # type: ignore[arg-type]
    lease = await claimed(store, now=now)
    await store.leases.finish(lease, Failed(Failure(FailureKind.INTERNAL, message)), now)
    return lease.job.id


async def test_failures_are_counted_without_prompts(store: Store) -> None:
    """Those with the same message and worker are one count; a message that repeats a prompt comes without it."""
    for prompt in ("a star", "a 'moon'"):
        await fail(store, f"Cannot generate {prompt}: no stars today", prompt=prompt, negative_prompt="stars")
    broken_id = await fail(store, "Broken", NOW + 1)
    await fail(store, "Broken", NOW + 3)
    await store.history.set_retried(broken_id, "copy")
    await fail(store, "Long ago", NOW - 50)
    await store.jobs.submit(replace(make_job(), start_deadline=NOW))
    await store.jobs.expire_overdue(NOW + 4, 10)

    found = {each.message: each for each in await store.reports.failures(NOW - 10, 100)}
    assert {"Cannot generate …: no … today", "Broken", "Request timed out"} == found.keys()
    broken = found["Broken"]
    assert (APP, "internal_server_error", "w1", 2) == (broken.app, broken.error_type, broken.worker, broken.requests)
    assert (NOW - 4, NOW + 1, NOW + 3) == (broken.first_submitted_at, broken.first_seen_at, broken.last_seen_at)
    assert (1, 0) == (broken.retried, found["Request timed out"].retried)
    assert 2 == found["Cannot generate …: no … today"].requests
    assert None is found["Request timed out"].worker
    assert ["Request timed out"] == [each.message for each in await store.reports.failures(NOW - 10, 1)]


async def test_failures_are_counted_by_minute(store: Store) -> None:
    """By error type, the newest of them; other ends do not count."""
    minute = int(NOW) // 60 + 1
    for second in (5, 50, 65):
        await fail(store, "Broken", 60.0 * minute + second)
    await store.jobs.submit(make_job())
    await store.leases.finish(await claimed(store, now=60.0 * minute), success("a.png"), 60.0 * minute)

    found = await store.reports.failures_by_minute(NOW, 100)
    assert {("internal_server_error", minute, 2), ("internal_server_error", minute + 1, 1)} == {
        (each.error_type, each.minute, each.requests) for each in found
    }
    assert [minute + 1] == [each.minute for each in await store.reports.failures_by_minute(NOW, 1)]


async def test_running_requests_are_reported(store: Store) -> None:
    """The longest running first, with progress and worker, up to the limit."""
    jobs = [await store.jobs.submit(make_job(batch_size=k + 1)) for k in range(3)]
    leases = [await claimed(store, now=NOW + k, worker=f"w{k}") for k in range(3)]
    await store.leases.report_progress(leases[1], Progress(3, 12))

    found = await store.reports.running(2)
    assert [job.id for job in jobs[:2]] == [each.id for each in found]
    assert [("w0", 1, None, NOW), ("w1", 2, Progress(3, 12), NOW + 1)] == [
        (each.worker, each.images, each.progress, each.started_at) for each in found
    ]


async def test_queued_requests_are_counted(store: Store) -> None:
    """By app and priority exactly; by user among some of each app."""
    for k, user in enumerate(["ann", "bob", "bob", "cid", "cid", "cid"]):
        await store.jobs.submit(make_job(user=user, priority=k // 4, app=APP))
    await store.jobs.submit(make_job(user="ann", app=EDIT))

    assert {
        PriorityCount(app=APP, priority=1, requests=2),
        PriorityCount(app=APP, priority=0, requests=4),
        PriorityCount(app=EDIT, priority=0, requests=1),
    } == set(await store.reports.queued_by_priority())
    by_user = await store.reports.queued_by_user([APP, EDIT], scan_limit=100, limit=2)
    assert [UserCount(user="cid", requests=3), UserCount(user="ann", requests=2)] == by_user
    some = await store.reports.queued_by_user([APP], scan_limit=2, limit=9)
    assert 2 == sum(each.requests for each in some)


async def test_stored_images_are_walked(store: Store) -> None:
    """Every ended request once, page by page, with the bytes of its images."""
    for k in range(5):
        await store.jobs.submit(make_job(batch_size=2))
        await store.leases.finish(await claimed(store), success("a.png", "b.png"), NOW + k // 2)
    await fail(store, "Broken", NOW + 9)
    await store.jobs.submit(make_job())

    sizes, after = [], (0.0, 0)
    while page := await store.reports.stored_images(after, 2):
        sizes += [each.size for each in page]
        after = page[-1].finished_at, page[-1].seq
    assert [20] * 5 + [0] == sizes


async def test_changes_are_found_by_user(store: Store) -> None:
    """Running requests, and those that were submitted or ended since; of the asked users alone."""
    old = await store.jobs.submit(make_job(user="ann", submitted_at=NOW - 100))
    runs = await store.jobs.submit(make_job(user="ann", submitted_at=NOW - 90, priority=1))
    await claimed(store)
    ended = await store.jobs.submit(make_job(user="bob", submitted_at=NOW - 80))
    await store.jobs.cancel(ended.id, NOW)
    new = await store.jobs.submit(make_job(user="ann"))
    await store.jobs.submit(make_job(user="cid"))

    found = await store.changes.active(["ann", "bob"], NOW - 10, 100)
    assert {RequestOfUser("ann", runs.id), RequestOfUser("bob", ended.id), RequestOfUser("ann", new.id)} == set(found)
    assert [new.id, runs.id] == await store.changes.newest("ann", 2)
    assert [new.id, runs.id, old.id] == await store.changes.newest("ann", 9)
    assert [] == await store.changes.newest("dan", 9)


async def test_deletions_are_numbered(store: Store) -> None:
    """Each deleted request has a number above those before, and nothing but its id and user."""
    assert not len(await store.changes.deletion_numbers())
    last = (await store.changes.deletion_numbers()).stop - 1
    ids = [await fail(store, "Broken", user=user) for user in ("ann", "bob")]
    assert 2 == await store.jobs.delete_finished(NOW + 1, NOW, 10)

    found = await store.changes.deletions(last, 10)
    assert {("ann", ids[0]), ("bob", ids[1])} == {(each.user, each.id) for each in found}
    assert found[0].number < found[1].number
    assert range(found[0].number, found[1].number + 1) == await store.changes.deletion_numbers()
    assert [found[1]] == await store.changes.deletions(found[0].number, 10)
    assert 0 == await store.changes.forget_deletions(10)


async def test_a_report_is_made_by_one_process(store: Store, second_store: Store) -> None:
    """Only one of those that start it at the same time makes it; it is read when it is saved, and made again later."""
    assert await store.reports.start("storage", NOW, NOW - 60)
    assert not await second_store.reports.start("storage", NOW + 30, NOW - 30)
    assert await store.reports.saved("storage") is None
    await store.reports.save("storage", NOW + 1, "{}")
    assert (NOW + 1, "{}") == await second_store.reports.saved("storage")
    assert await second_store.reports.start("storage", NOW + 60, NOW)
    assert await store.reports.start("storage", NOW - 900, NOW - 960)  # the clock went back
