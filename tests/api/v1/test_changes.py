"""Deletion, keeping, and bulk actions, as their callers use them."""

import asyncio
from typing import Any

import pytest

from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.errors import BlobStoreError
from tests.api.service import Service
from tests.api.v1.calls import LIST, call, get
from tests.support.jobs import APP


async def test_a_delete_is_at_once_everywhere(service: Service, blobs: DiskBlobStore) -> None:
    """Every route responds with 404 afterwards, and the URL of its file, too; the idempotency key is free again."""
    once = {"Idempotency-Key": "once"}
    body = {"prompt": "a"}
    submitted = await service.client.post(f"/fal/queue/{APP}", json=body, headers=once)
    request_id = submitted.json()["request_id"]
    await service.succeed(await service.claim())
    url = (await get(service, f"{LIST}/{request_id}"))["images"][0]["url"]

    await call(service, "DELETE", f"{LIST}/{request_id}", status=204)

    for path in (f"{LIST}/{request_id}", service.status_path(request_id), service.result_path(request_id), url):
        await get(service, path, status=404)
    for method, path in (("DELETE", f"{LIST}/{request_id}"), ("PUT", f"{service.result_path(request_id)}/cancel")):
        await call(service, method, path, status=404)
    assert [] == (await get(service, LIST))["items"]
    assert [] == await service.store.files.orphaned(1e12, 10)
    again = await service.client.post(f"/fal/queue/{APP}", json=body, headers=once)
    assert request_id != again.json()["request_id"]


async def test_a_queued_request_is_cancelled_and_a_running_one_is_left(service: Service) -> None:
    """The first never runs; the second is refused with what to do."""
    running, queued = await service.submit(), await service.submit()
    lease = await service.claim()

    await call(service, "DELETE", f"{LIST}/{queued}", status=204)
    refused = await call(service, "DELETE", f"{LIST}/{running}", status=409)

    assert ("not_possible", True) == (refused["error_type"], "in_progress=true" in refused["message"])
    assert 0 == await service.queued()
    await service.succeed(lease)
    await call(service, "DELETE", f"{LIST}/{running}", status=204)


async def test_a_running_request_is_stopped_only_if_the_caller_says_so(service: Service) -> None:
    """Without `in_progress` it is skipped; with it, its worker gets notice, and it ends as cancelled."""
    running, queued = await service.submit(), await service.submit()
    lease = await service.claim()

    first = await call(service, "POST", f"{LIST}/cancel", json={"ids": [running]})
    second = await call(service, "POST", f"{LIST}/cancel", json={"ids": [running, queued], "in_progress": True})

    assert ({"done": 0, "skipped": 1}, {"done": 2, "skipped": 0}) == (first, second)
    signals = await service.store.leases.list_signals(lease.job.worker or "", service.store.clock.now())
    assert {lease.token: True} == {token: each.is_cancelled for token, each in signals.items()}


async def test_a_stream_ends_when_its_request_is_deleted(service: Service) -> None:
    """The feed notices that the request is gone."""
    request_id = await service.submit()
    deps = service.app.state.dependencies
    status = await deps.statuses.load(await deps.statuses.get_job(request_id))
    key = await deps.authenticator.find((await service.store.api_keys.list_keys())[0].hash)
    with deps.status_feed.watch(status, key) as watch:
        await call(service, "DELETE", f"{LIST}/{request_id}", status=204)
        async with asyncio.timeout(10):
            while watch.exists:
                await watch.updated.wait()
                watch.updated.clear()


async def test_files_that_cannot_be_deleted_now_stay_noted(
    service: Service, blobs: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is gone all the same, and maintenance finds the file."""
    request_id = await service.submit()
    await service.succeed(await service.claim())

    async def fail(key: str) -> None:
        raise BlobStoreError("The disk is on fire.")

    with monkeypatch.context() as patched:
        patched.setattr(blobs, "delete", fail)
        await call(service, "DELETE", f"{LIST}/{request_id}", status=204)

    await get(service, f"{LIST}/{request_id}", status=404)
    assert 1 == len(await service.store.files.orphaned(service.clock.now(), 10))


async def test_keep_and_unkeep(service: Service) -> None:
    """A kept request has no date of its deletion."""
    request_id = await service.submit()
    await service.succeed(await service.claim())
    before = await get(service, f"{LIST}/{request_id}")

    assert {"id": request_id, "kept": True} == await call(service, "PATCH", f"{LIST}/{request_id}", json={"keep": True})
    kept = await get(service, f"{LIST}/{request_id}")
    assert (True, None) == (kept["kept"], kept["expires_at"])
    await call(service, "PATCH", f"{LIST}/{request_id}", json={"keep": False})
    assert before == await get(service, f"{LIST}/{request_id}")
    for body in ({}, {"keep": "perhaps"}, {"kept": True}):
        await call(service, "PATCH", f"{LIST}/{request_id}", status=422, json=body)


async def test_bulk_by_filter_needs_the_number(service: Service) -> None:
    """A wrong one is refused with the real one, and nothing happens; running ones are skipped and counted."""
    for _ in range(3):
        await service.submit()
    lease = await service.claim()

    for expect in (2, 4):
        refused = await call(
            service, "POST", f"{LIST}/cancel", status=409, json={"filter": {"app": APP}, "expect": expect}
        )
        assert (3, "count_differs") == (refused["count"], refused["error_type"])
    assert 2 == await service.queued()

    done = await call(service, "POST", f"{LIST}/cancel", json={"filter": {"app": APP}, "expect": 3})
    assert {"done": 2, "skipped": 1} == done
    await service.succeed(lease)
    assert {"done": 0, "skipped": 0} == await call(
        service, "POST", f"{LIST}/delete", json={"filter": {"state": "failed"}, "expect": 0}
    )
    assert {"done": 2, "skipped": 1} == await call(service, "POST", f"{LIST}/retry", json={"filter": {}, "expect": 3})
    assert {"done": 5, "skipped": 0} == await call(service, "POST", f"{LIST}/delete", json={"filter": {}, "expect": 5})
    assert [] == (await get(service, LIST))["items"]


async def test_a_count_is_what_a_bulk_action_expects(service: Service) -> None:
    """By state, and of the caller's own requests alone; the filters of others need the same scope as a list."""
    for prompt in ("a red apple", "an apple tree", "a lemon"):
        await service.submit(prompt)
    await service.succeed(await service.claim())
    bob = await service.new_key("bob")
    nothing = dict.fromkeys(("queued", "running", "succeeded", "failed", "cancelled"), 0)

    every = await get(service, f"{LIST}/count")
    apples = await get(service, f"{LIST}/count", q="APPLE")

    assert {"count": 3, "by_state": nothing | {"queued": 2, "succeeded": 1}} == every
    assert {"count": 2, "by_state": nothing | {"queued": 1, "succeeded": 1}} == apples
    assert {"count": 0, "by_state": nothing} == await get(service, f"{LIST}/count", key=bob)
    refused = await get(service, f"{LIST}/count", key=bob, status=403, user="*")
    assert "missing_scope" == refused["error_type"]
    body = {"filter": {"q": "APPLE"}, "expect": apples["count"]}
    assert {"done": 2, "skipped": 0} == await call(service, "POST", f"{LIST}/delete", json=body)


async def test_bulk_by_ids(service: Service) -> None:
    """Unknown ids and those of others are skipped alike; ids that are given twice count once."""
    own = await service.submit()
    bob = await service.new_key("bob")
    theirs = (await call(service, "POST", LIST, key=bob, json={"app": APP, "input": {"prompt": "of bob"}}))["id"]
    ids = [own, own, theirs, "0" * 20]

    assert {"done": 1, "skipped": 2} == await call(service, "POST", f"{LIST}/delete", json={"ids": ids})
    await get(service, f"{LIST}/{theirs}", key=bob)
    operator = await service.new_key("op", scopes=frozenset({Scope.GENERATE, Scope.OPERATE}))
    assert {"done": 1, "skipped": 2} == await call(service, "POST", f"{LIST}/delete", key=operator, json={"ids": ids})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": ["x"]},
        {"ids": ["0" * 20] * 1001},
        {"ids": ["0" * 20], "filter": {}},
        {"filter": {}},
        {"filter": {}, "expect": -1},
        {"filter": {}, "expect": False},
        {"filter": {"limit": 3}, "expect": 0},
        {"filter": {"sate": "failed"}, "expect": 0},
        {"filter": [], "expect": 0},
    ],
)
async def test_bad_bulk_calls(service: Service, body: dict[str, Any]) -> None:
    """None does anything."""
    await service.submit()

    await call(service, "POST", f"{LIST}/delete", status=422, json=body)

    assert 1 == await service.queued()
