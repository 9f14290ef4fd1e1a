"""Health, metrics, and what happens when something is broken."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import structlog
from fastapi import FastAPI, Request, Response
from prometheus_client.parser import text_string_to_metric_families

from pipelet.api.operations.metrics import build_metrics_app
from pipelet.domain.jobs.outcome import Failure, FailureKind, Interrupted
from tests.api.service import Service
from tests.support.jobs import APP, EDIT


async def test_root(service: Service) -> None:
    """The bare address says where the description is."""
    assert (await service.client.get("/")).json()["docs"] == "/docs"


async def test_docs(service: Service) -> None:
    """The description is there to be read."""
    assert (await service.client.get("/docs")).status_code == 200


async def test_alive(service: Service) -> None:
    """Liveness needs no key."""
    del service.client.headers["Authorization"]
    response = await service.client.get("/health/live")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("key", ["", "Bearer pk_" + "a" * 43, "nonsense"])
@pytest.mark.parametrize("host", ["10.1.2.3:8000", "[fd00::1]", "evil.example"])
async def test_strangers_are_told_the_status_alone(service: Service, key: str, host: str) -> None:
    """Without a key or with a bad one, under any host: no version, no path, no model, no worker, and no 401."""
    await service.heartbeat(profile="/srv/private-models/acme on cuda", problem="/srv is empty", ready=False)
    folder = service.blobs._incoming
    folder.rmdir()
    folder.touch()
    headers = {"Host": host, "Authorization": key}

    response = await service.client.get("/health/ready", headers=headers)

    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": {"store": "ok", "blobs": "unavailable"}}


async def test_not_ready_where_nothing_can_be_written(service: Service, log_lines: list[Any]) -> None:
    """A database that can only be read takes no requests: it says so to strangers, and why to the log and to callers
    with a key."""
    service.store._writer._connection.execute("PRAGMA query_only = ON")

    response = await service.client.get("/health/ready")
    stranger = await service.client.get("/health/ready", headers={"Authorization": ""})

    assert (response.status_code, response.json()["status"]) == (503, "not ready")
    assert "cannot be written" in response.json()["checks"]["store"]
    assert stranger.json() == {"status": "not ready", "checks": {"store": "unavailable", "blobs": "ok"}}
    assert [("health.check_failed", "store")] == [(line["event"], line["check"]) for line in log_lines]


async def test_a_refusal_that_is_repeated_does_not_fill_the_log(service: Service, log_lines: list[Any]) -> None:
    """However many callers meet a database that refuses, the reason is logged once."""
    service.store._writer._connection.execute("PRAGMA query_only = ON")

    responses = [await service.client.post(f"/fal/queue/{APP}", json={"prompt": "a"}) for _ in range(10)]

    assert {503} == {response.status_code for response in responses}
    assert 1 == [line["event"] for line in log_lines].count("request.unavailable")


async def test_metrics_are_for_callers_with_a_key(service: Service) -> None:
    """Or for those who reach the address that is theirs alone, under GET and HEAD."""
    del service.client.headers["Authorization"]
    refused = await service.client.get("/metrics")
    alone = httpx2.ASGITransport(build_metrics_app(service.app.state.metrics))
    async with httpx2.AsyncClient(transport=alone, base_url="http://10.1.2.3:9464") as client:
        responses = [await client.get("/metrics"), await client.head("/metrics"), await client.get("/")]

    assert refused.status_code == 401
    assert [200, 200, 404] == [response.status_code for response in responses]
    assert "pipelet_requests_submitted_total" in responses[0].text
    assert responses[0].headers["content-type"].startswith("text/plain")


async def test_ready_without_workers(service: Service) -> None:
    """Without a worker the API is ready, and says that requests wait and what to do."""
    response = await service.client.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["checks"] == {"store": "ok", "blobs": "ok"}
    assert "pipelet worker" in response.json()["notes"][0]


async def test_ready_with_workers(service: Service) -> None:
    """Workers are shown with what ails them, and the apps that none of them serves are named."""
    await service.heartbeat(ready=False, problem="The model folder is empty.")
    troubled = (await service.client.get("/health/ready")).json()
    await service.heartbeat()
    lacking = (await service.client.get("/health/ready")).json()
    await service.heartbeat(apps=(EDIT,))
    well = (await service.client.get("/health/ready")).json()

    assert [worker["problem"] for worker in troubled["workers"]] == ["The model folder is empty."]
    assert troubled["notes"]
    assert [f"No worker serves {EDIT} at present: its requests are accepted and wait."] == lacking["notes"]
    assert (len(well["workers"]), well["notes"]) == (3, [])


async def test_ready_without_files(service: Service) -> None:
    """Where files cannot be stored, requests are taken all the same: the API stays ready, and says what is wrong."""
    folder = service.blobs._incoming
    folder.rmdir()
    folder.write_bytes(b"a file where a folder should be")

    response = await service.client.get("/health/ready")

    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert "Files cannot be stored" in response.json()["notes"][-1]
    assert str(folder.parent) in response.json()["checks"]["blobs"]


async def test_not_ready_without_the_store(service: Service) -> None:
    """Where the store cannot be read, readiness fails and says why, and requests get 503 without our secrets."""
    service.store._reader.execute("PRAGMA query_only = OFF")
    service.store._reader.execute("DROP TABLE worker")
    service.store._reader.execute("DROP TABLE api_key")

    ready = await service.client.get("/health/ready")
    response = await service.client.post(f"/fal/queue/{APP}", json={"prompt": "a"})

    assert ready.status_code == 503
    assert ready.json()["checks"]["store"] != "ok"
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert "api_key" not in response.text


async def metrics(service: Service) -> dict[tuple[str, ...], float]:
    text = (await service.client.get("/metrics")).text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_gauges(service: Service) -> None:
    """Metrics tell what waits, for how long, what runs, and who works."""
    await service.submit()
    await service.claim()
    await service.submit()
    await service.heartbeat()
    service.clock.time += 5

    seen = await metrics(service)

    assert seen["pipelet_requests", APP, "queued"] == 1
    assert seen["pipelet_requests", APP, "running"] == 1
    assert seen["pipelet_queue_oldest_age_seconds", APP] == 5
    assert seen["pipelet_workers", "demo on cpu", "true"] == 1
    assert seen["pipelet_requests_submitted_total", APP] == 2


async def test_finished_requests_are_counted_once(service: Service) -> None:
    """Each finished request is counted once, however often and closely it is scraped."""
    for succeeds in (True, False, False):
        await service.submit()
        service.clock.time += 2
        lease = await service.claim()
        service.clock.time += 4
        if succeeds:
            await service.succeed(lease, seconds=3.5)
        else:
            await service.fail(lease, FailureKind.INTERNAL, "The pipeline raised.")
        await metrics(service)
    service.clock.time += 1000
    await metrics(service)

    seen = await metrics(service)

    assert seen["pipelet_requests_finished_total", APP, "succeeded"] == 1
    assert seen["pipelet_requests_finished_total", APP, "failed"] == 2
    assert seen["pipelet_queue_wait_seconds_sum", APP] == pytest.approx(6)
    assert seen["pipelet_request_duration_seconds_sum", APP] == pytest.approx(6)
    assert seen["pipelet_generation_seconds_sum", APP] == 3.5
    assert seen["pipelet_estimate_error_ratio_count", APP] == 1


async def test_pickup_of_second_attempts(service: Service) -> None:
    """The time to pick a request up is measured where the first attempt was the last."""
    await service.submit()
    lost = Interrupted(Failure(FailureKind.WORKER_LOST, "lost"))
    await service.store.leases.finish(await service.claim(), lost, service.clock.now())
    lease = await service.claim()
    service.clock.time += 1
    await service.succeed(lease)

    seen = await metrics(service)

    assert seen["pipelet_requests_finished_total", APP, "succeeded"] == 1
    assert ("pipelet_queue_wait_seconds_count", APP) not in seen


@asynccontextmanager
async def outside(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that sees what a server sends after a crash, instead of the crash itself."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://pipelet.test") as client:
        yield client


async def test_bug(app: FastAPI, log_lines: list[Any]) -> None:
    """A crash is a 500 without an explanation, and an error in the log with the id that the handler has bound."""

    async def crash(request: Request) -> Response:
        structlog.contextvars.bind_contextvars(request_id=request.path_params["request_id"])
        raise ZeroDivisionError("a secret")

    app.add_api_route("/crash/{request_id}", crash)
    async with outside(app) as client:
        response = await client.get("/crash/rn5r12q9pdu6yvb3nxty")

    assert response.status_code == 500
    assert response.json()["detail"] == "Internal Server Error"
    assert response.json()["message"]
    assert "secret" not in response.text
    assert [(line["event"], line["request_id"]) for line in log_lines] == [("request.crashed", "rn5r12q9pdu6yvb3nxty")]
