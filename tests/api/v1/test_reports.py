"""The reports for operators, as their keys read them."""

from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pipelet.cli.doctor.diagnose import diagnose
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.capacity.cost_model import Work
from pipelet.domain.jobs.outcome import FailureKind
from pipelet.domain.jobs.progress import Progress
from pipelet.services.queue.accounting import Accounting
from pipelet.services.queue.failures import without_input
from pipelet.services.queue.storage import INTERVAL_SECONDS, sample_storage
from pipelet.settings import load
from tests.api.service import CATALOG, Service
from tests.support.jobs import APP, EDIT, success


@pytest.fixture
async def ops(service: Service) -> dict[str, str]:
    secret = await service.new_key("ops", scopes=frozenset({Scope.OBSERVE}))
    return {"Authorization": f"Bearer {secret}"}


async def read(service: Service, ops: dict[str, str], path: str, **query: Any) -> Any:
    response = await service.client.get(f"/api/v1/operate/{path}", headers=ops, params=query)
    assert 200 == response.status_code, response.text
    return response.json()


async def test_the_overview_shows_the_queue(service: Service, ops: dict[str, str]) -> None:
    """Depth by app, priority and user, the oldest, running requests with progress and worker, and workers."""
    running = await service.submit()
    lease = await service.claim()
    await service.store.leases.report_progress(lease, Progress(3, 12))
    service.clock.time += 60
    await service.submit(priority=2)
    await service.submit()
    await service.store.queue.pause(EDIT, service.clock.now())
    await service.heartbeat(name="gpu-1", problem=None)

    found = await read(service, ops, "overview")

    app = next(each for each in found["apps"] if each["app"] == APP)
    assert (2, 1, "1970-01-12T13:47:40.000Z") == (app["queued"], app["running"], app["oldest_submitted_at"])
    assert app["drain_seconds"] >= 0
    assert "1970-01-12T13:47:40.000Z" == next(each["paused_at"] for each in found["apps"] if each["app"] == EDIT)
    assert [(2, 1), (0, 1)] == [(each["priority"], each["queued"]) for each in found["by_priority"]]
    assert [{"user": "ada", "queued": 2}] == found["by_user"]
    [runs] = found["running"]
    assert (running, "ada", "w1", {"done": 3, "total": 12}) == tuple(
        runs[name] for name in ("id", "user", "worker", "progress")
    )
    [worker] = found["workers"]
    assert ("gpu-1", "ready", None) == (worker["name"], worker["state"], worker["megapixel_seconds"])


async def test_the_overview_says_how_fast_workers_are(service: Service, ops: dict[str, str]) -> None:
    """Seconds for a megapixel, as the estimates have learned them from workers of the same kind."""
    await service.heartbeat(name="gpu-1")
    [worker] = (await read(service, ops, "overview"))["workers"]
    await service.store.workers.add_observation(worker["profile"], "generate", Work(1, 16, 1.0, 16.0, 16.0), 3.0)
    service.clock.time += 1

    [worker] = (await read(service, ops, "overview"))["workers"]

    assert worker["megapixel_seconds"] > 0


async def test_series_have_what_was_sampled(service: Service, ops: dict[str, str]) -> None:
    """A point for each step: gauges with the largest sample, counts with the sum, times with percentiles."""
    accounting = Accounting(service.store, CATALOG)
    await service.heartbeat()
    for _ in range(3):
        await service.submit()
        service.clock.time += 20
        await accounting.run()
        service.clock.time += 20
        await service.store.leases.finish(await service.claim(), success("a.png"), service.clock.now())
    await service.submit()
    await service.fail(await service.claim(), FailureKind.INTERNAL, "Broken")
    service.clock.time += 60
    await accounting.run()

    def points(found: Any) -> list[Any]:
        return next(each["points"] for each in found["series"] if each["app"] == APP)

    depth = await read(service, ops, "series", name="depth", step=3600)
    assert 3600 == depth["step"]
    assert [1] == [each["value"] for each in points(depth)]
    finished = points(await read(service, ops, "series", name="finished"))
    assert 3 == sum(each["value"] for each in finished)
    assert 1 == sum(each["value"] for each in points(await read(service, ops, "series", name="failed", step=60)))
    [total] = points(await read(service, ops, "series", name="total", step=3600))
    assert 35 < total["p50"] <= total["p95"] < 46
    assert [1] == [each["value"] for each in points(await read(service, ops, "series", name="workers", step=3600))]
    later = service.clock.now() + 60
    assert [] == (await read(service, ops, "series", name="finished", since=str(later)))["series"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "name"),
        ({"name": "height"}, "name"),
        ({"name": "depth", "step": 61}, "multiple of 60"),
        ({"name": "depth", "since": 0, "step": 60}, "2,000 steps"),
        ({"name": "depth", "step": 10**30}, "step"),
    ],
)
async def test_a_series_has_bounds(service: Service, ops: dict[str, str], query: dict[str, Any], message: str) -> None:
    """An unknown series, or one of too many points, is refused."""
    response = await service.client.get("/api/v1/operate/series", headers=ops, params=query)

    assert 422 == response.status_code
    assert message in response.json()["message"]


async def test_failures_are_grouped(service: Service, ops: dict[str, str]) -> None:
    """By app, type, message and worker, without what users wrote; each with a filter that finds them."""
    for number, prompt in enumerate(["a star", "the moon", "rain"]):
        await service.submit(prompt=prompt)
        message = f"Token {number} of '{prompt}' is broken" if number < 2 else "Broken"
        await service.fail(await service.claim(), FailureKind.INTERNAL, message)
        service.clock.time += 1

    found = await read(service, ops, "failures")

    assert [("Token … of … is broken", 2), ("Broken", 1)] == [(e["message"], e["requests"]) for e in found["items"]]
    assert found["is_complete"]
    first = found["items"][0]
    assert ("1970-01-12T13:46:40.000Z", "1970-01-12T13:46:41.000Z") == (first["first_seen_at"], first["last_seen_at"])
    every = await service.client.get("/api/v1/requests", params=first["filter"])
    assert 3 == len(every.json()["items"])
    retried = {"ids": [item["id"] for item in every.json()["items"][-2:]]}
    await service.client.post("/api/v1/requests/retry", json=retried)
    again = (await read(service, ops, "failures"))["items"]
    assert [(2, 2), (1, 0)] == [(each["requests"], each["retried"]) for each in again]
    left = await service.client.get("/api/v1/requests", params=first["filter"])
    assert [None] == [item["retried_as"] for item in left.json()["items"]]
    assert [] == (await read(service, ops, "failures", since="1970-01-13"))["items"]
    assert [] == found["series"]


async def test_failures_are_counted_over_time(service: Service, ops: dict[str, str]) -> None:
    """By error type, in steps of whole minutes; steps without a failure have no point."""
    for wait in (120, 300):
        await service.submit()
        await service.fail(await service.claim(), FailureKind.INTERNAL, "Broken")
        service.clock.time += wait

    found = await read(service, ops, "failures", step=120)
    refused = await service.client.get("/api/v1/operate/failures", headers=ops, params={"step": 90})

    [series] = found["series"]
    assert "internal_server_error" == series["error_type"]
    assert [1, 1] == [each["value"] for each in series["points"]]
    assert ["1970-01-12T13:46:00.000Z", "1970-01-12T13:48:00.000Z"] == [each["at"] for each in series["points"]]
    assert (422, True) == (refused.status_code, "multiple of 60" in refused.json()["message"])


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("The worker's GPU is gone.", "The worker's GPU is gone."),
        (
            "It is 'it's mine', not 'yours'.",
            "It is ….",
        ),
        ('Words like "so" and “so” (3 times)', "Words like … and … (… times)"),
        ("`x` is 1,024.5 too long", "… is … too long"),
    ],
)
def test_messages_are_told_without_input(message: str, expected: str) -> None:
    """Quotes, from the first mark to the last, and numbers are left out."""
    assert expected == without_input(message)


@pytest.mark.parametrize("path", ["overview", "series?name=depth", "failures", "storage", "doctor", "stream"])
async def test_reports_need_a_scope(service: Service, path: str) -> None:
    """Without `observe` the response is 403, and names it."""
    response = await service.client.get(f"/api/v1/operate/{path}")

    assert (403, "missing_scope") == (response.status_code, response.json()["error_type"])
    assert "`observe`" in response.json()["message"]


async def test_storage_is_sampled(service: Service, ops: dict[str, str]) -> None:
    """Bytes by app, user and age as of the last sample, which another process has not made; the free room as of now."""
    before = await read(service, ops, "storage")
    await service.submit()
    await service.succeed(await service.claim(), data=b"12345")
    service.clock.time += 3 * 86_400
    await sample_storage(service.store)
    found = await read(service, ops, "storage")
    await sample_storage(service.store)  # too soon
    service.clock.time += 86_400
    await sample_storage(service.store)

    assert (None, None, []) == (before["sampled_at"], before["bytes"], before["by_app"])
    assert before["free_bytes"] > 0
    assert (5, 1, "1970-01-15T13:46:40.000Z") == (found["bytes"], found["requests"], found["sampled_at"])
    assert [{"app": APP, "bytes": 5}] == found["by_app"]
    assert [{"user": "ada", "bytes": 5}] == found["by_user"]
    assert [0, 5, 0, 0] == [each["bytes"] for each in found["by_age"]]
    assert "1970-01-16T13:46:40.000Z" == (await read(service, ops, "storage"))["sampled_at"]


@pytest.mark.parametrize(("few", "counted"), [(2, 2), (1, 1)])
async def test_storage_is_sampled_more_often_while_it_is_little(
    service: Service, ops: dict[str, str], few: int, counted: int
) -> None:
    """A new service counts every minute; one with many requests leaves that for an hour."""
    for name in ("a.png", "b.png"):
        await service.submit()
        await service.store.leases.finish(await service.claim(), success(name), service.clock.now())
        service.clock.time += INTERVAL_SECONDS
        await sample_storage(service.store, few=few)

    assert counted == (await read(service, ops, "storage"))["requests"]


async def test_the_installation_is_checked(service: Service, ops: dict[str, str], tmp_path: Path) -> None:
    """The checks of the machine and of what the settings name; the settings are without secrets."""
    chosen = load(data_dir=tmp_path, api_key="pk_secret", database_url="postgresql://ann:hush@127.0.0.1:1/queue")
    app = service.another_api(diagnose=partial(diagnose, chosen))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://pipelet.test") as client:
        response = await client.get("/api/v1/operate/doctor", headers=ops)

    found = response.json()
    assert {"python", "data directory", "disk", "database", "files", "proxies"} == {e["name"] for e in found["checks"]}
    assert ["database"] == [each["name"] for each in found["checks"] if each["state"] == "fail"]
    assert not found["ok"]
    assert str(tmp_path) == found["settings"]["data_dir"]
    assert "hush" not in response.text
    assert "pk_secret" not in response.text
    assert 409 == (await service.client.get("/api/v1/operate/doctor", headers=ops)).status_code
