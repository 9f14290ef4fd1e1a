"""The operator's control over the API: apps, requests, workers and webhooks."""

import asyncio
from typing import Any

import httpx2
import pytest

from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.capacity.workers import HeartbeatReply
from pipelet.domain.webhooks.delivery import DeliveryAttempt, DeliveryState
from tests.api.service import Service
from tests.support.jobs import APP

ROOT = "/api/v1/operate"
HOOK = "https://93.184.216.34/hook?token=secret"


def client_of(service: Service, secret: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(service.app)
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx2.AsyncClient(transport=transport, base_url="http://pipelet.test", headers=headers)


@pytest.fixture
async def operator(service: Service) -> httpx2.AsyncClient:
    """A client that may observe and operate, of the user `root`."""
    return client_of(service, await service.new_key("root", scopes=frozenset({Scope.OBSERVE, Scope.OPERATE})))


async def actions(service: Service) -> list[tuple[str, str]]:
    return [(each.action, each.target) for each in reversed(await service.store.audit.list_entries(100))]


async def test_two_operators_pause_and_resume_at_once(service: Service, operator: httpx2.AsyncClient) -> None:
    """Both succeed where the state is what they wanted; what changed it is in the audit trail once."""
    pauses = await asyncio.gather(*(operator.post(f"{ROOT}/apps/{APP}/pause") for _ in range(3)))
    assert [204] * 3 == [each.status_code for each in pauses]
    assert {APP} == (await service.store.queue.paused()).keys()

    resumes = await asyncio.gather(*(operator.post(f"{ROOT}/apps/{APP}/resume") for _ in range(3)))

    assert [204, 409, 409] == sorted(each.status_code for each in resumes)
    assert [("apps.pause", APP), ("apps.resume", APP)] == await actions(service)
    assert 404 == (await operator.post(f"{ROOT}/apps/unknown/pause")).status_code
    assert 409 == (await operator.post(f"{ROOT}/apps/unknown/resume")).status_code


async def test_a_request_moves_to_the_front(service: Service, operator: httpx2.AsyncClient) -> None:
    """It starts next; one that has started cannot."""
    await service.submit(priority=5)
    last = await service.submit()

    assert 204 == (await operator.post(f"{ROOT}/requests/{last}/front")).status_code
    assert last == (await service.claim()).job.id
    running = await operator.post(f"{ROOT}/requests/{last}/front")
    assert (409, "not_possible") == (running.status_code, running.json()["error_type"])
    assert 404 == (await operator.post(f"{ROOT}/requests/{'0' * 20}/front")).status_code
    assert [("requests.front", last)] == await actions(service)


async def test_a_request_changes_its_priority(service: Service, operator: httpx2.AsyncClient) -> None:
    """It goes before what has a lower one; the change is in the audit trail. What has started, or is unknown, is
    refused."""
    _, last = [await service.submit() for _ in range(2)]

    assert {"id": last, "priority": 5} == (await operator.patch(f"{ROOT}/requests/{last}", json={"priority": 5})).json()
    assert last == (await service.claim()).job.id
    assert 409 == (await operator.patch(f"{ROOT}/requests/{last}", json={"priority": 0})).status_code
    assert 404 == (await operator.patch(f"{ROOT}/requests/{'0' * 20}", json={"priority": 0})).status_code
    assert 422 == (await operator.patch(f"{ROOT}/requests/{last}", json={"priority": 2**31})).status_code
    [entry] = (await operator.get(f"{ROOT}/audit")).json()["items"]
    assert ({"priority": 0}, {"priority": 5}) == (entry["before"], entry["after"])


async def test_a_worker_is_drained_and_taken_back(service: Service, operator: httpx2.AsyncClient) -> None:
    """The next heartbeat tells it; before that, the drain can be taken back. Unknown workers are told apart."""
    await service.heartbeat(name="w1", incarnation="a")

    async def reply() -> HeartbeatReply:
        [worker] = await service.store.workers.live(service.clock.now())
        return await service.store.workers.heartbeat(worker)

    assert [204, 204] == [(await operator.post(f"{ROOT}/workers/w1/drain")).status_code for _ in range(2)]
    assert "draining" == (await operator.get(f"{ROOT}/workers")).json()["items"][0]["state"]
    assert HeartbeatReply.DRAIN == await reply()
    assert [204, 409] == [(await operator.delete(f"{ROOT}/workers/w1/drain")).status_code for _ in range(2)]
    assert HeartbeatReply.CONTINUE == await reply()
    assert 404 == (await operator.post(f"{ROOT}/workers/w2/drain")).status_code
    assert 409 == (await operator.delete(f"{ROOT}/workers/w2/drain")).status_code
    assert [("workers.drain", "w1"), ("workers.undrain", "w1")] == await actions(service)


async def ended_with_webhook(service: Service) -> str:
    response = await service.client.post(f"/fal/queue/{APP}", params={"fal_webhook": HOOK}, json={"prompt": "a"})
    request_id = str(response.json()["request_id"])
    service.clock.time += 1
    await service.fail_next()
    return request_id


async def attempt(service: Service) -> None:
    """Make the attempt that is due, and let it fail for good."""
    now = service.clock.now()
    delivery = await service.store.outbox.claim("t", now, now + 60, busy_users=(), busy_endpoints=())
    assert delivery is not None
    failed = DeliveryAttempt(now, 0.5, 500, f"{HOOK} responded with 500.")
    assert await service.store.outbox.record(delivery, failed, DeliveryState.FAILED, None)


async def test_webhooks_are_listed_and_replayed(service: Service, operator: httpx2.AsyncClient) -> None:
    """In pages, newest first, by state, with their attempts; a replay is due at once, twice is once."""
    ids = [await ended_with_webhook(service) for _ in range(3)]
    await attempt(service)

    first = (await operator.get(f"{ROOT}/webhooks", params={"limit": "2"})).json()
    second = (await operator.get(f"{ROOT}/webhooks", params={"after": first["next"]})).json()
    failed = (await operator.get(f"{ROOT}/webhooks", params={"state": "failed"})).json()["items"]

    assert ids[::-1] == [each["request_id"] for each in first["items"] + second["items"]]
    assert second["next"] is None
    assert [ids[0]] == [each["request_id"] for each in failed]
    assert 204 == (await operator.post(f"{ROOT}/webhooks/{ids[0]}/replay")).status_code
    shown = (await operator.get(f"{ROOT}/webhooks/{ids[0]}")).json()
    assert ("waiting", [500]) == (shown["state"], [each["code"] for each in shown["attempts"]])
    assert [("webhooks.replay", ids[0])] == await actions(service)
    without = await service.submit()
    assert [404, 409, 404] == [
        (await operator.get(f"{ROOT}/webhooks/{without}")).status_code,
        (await operator.post(f"{ROOT}/webhooks/{without}/replay")).status_code,
        (await operator.post(f"{ROOT}/webhooks/{'0' * 20}/replay")).status_code,
    ]


async def test_urls_of_others_are_content(service: Service, operator: httpx2.AsyncClient) -> None:
    """`observe` alone shows neither the URL of a webhook nor an error that quotes it. With `content` both are shown,
    and the reader leaves one audit entry an hour."""
    request_id = await ended_with_webhook(service)
    await attempt(service)
    reader = client_of(service, await service.new_key("eve", scopes=frozenset({Scope.OBSERVE, Scope.CONTENT})))
    own = client_of(service, await service.new_key("ada", scopes=frozenset({Scope.OBSERVE})))

    async def read(client: httpx2.AsyncClient) -> list[Any]:
        shown = (await client.get(f"{ROOT}/webhooks/{request_id}")).json()
        [listed] = (await client.get(f"{ROOT}/webhooks")).json()["items"]
        assert shown == listed
        return [shown["url"], shown["attempts"][0]["error"]]

    assert [None, None] == await read(operator)
    assert [] == await actions(service)
    assert [HOOK, f"{HOOK} responded with 500."] == await read(own) == await read(reader) == await read(reader)
    assert [("requests.read_content", request_id)] == await actions(service)
    service.clock.time += 3600
    await read(reader)
    assert 2 == len(await actions(service))


async def test_observers_do_not_act(service: Service) -> None:
    """Reads need `observe`, acts `operate`; the response names what is missing."""
    client = client_of(service, await service.new_key("eve", scopes=frozenset({Scope.OBSERVE})))
    for method, path in (
        ("POST", f"apps/{APP}/pause"),
        ("POST", f"requests/{'0' * 20}/front"),
        ("POST", "workers/w/drain"),
        ("DELETE", "workers/w/drain"),
        ("POST", f"webhooks/{'0' * 20}/replay"),
    ):
        response = await client.request(method, f"{ROOT}/{path}")
        assert 403 == response.status_code
        assert "`operate`" in response.json()["message"]
    for path in ("workers", "webhooks", "audit"):
        assert 200 == (await client.get(f"{ROOT}/{path}")).status_code
        assert 403 == (await service.client.get(f"{ROOT}/{path}")).status_code


@pytest.mark.parametrize("after", ["x", "WyJhdWRpdCIsIDFd", "WyJ3ZWJob29rcyIsIDFd"])
async def test_cursors_of_other_lists(operator: httpx2.AsyncClient, after: str) -> None:
    """They are refused with a hint, forged ones, too."""
    assert 422 == (await operator.get(f"{ROOT}/webhooks", params={"after": after})).status_code
