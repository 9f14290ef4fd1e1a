"""GET …/requests/{id}/status and PUT …/cancel."""

import pytest

from pipelet.domain.jobs.outcome import Failure, FailureKind, Interrupted, Released
from pipelet.domain.jobs.progress import Progress
from tests.api.service import Service
from tests.support.jobs import APP, EDIT


async def test_queued(service: Service) -> None:
    """A waiting request responds with 202, with how many are ahead and every field fal's clients index."""
    await service.heartbeat()
    await service.submit()
    request_id = await service.submit()

    response = await service.client.get(service.status_path(request_id))

    url = f"http://pipelet.test{service.result_path(request_id)}"
    assert response.status_code == 202
    assert response.json() == {
        "status": "IN_QUEUE",
        "queue_position": 1,
        "statusMessages": {
            "message": "Queued: 1 request ahead",
            "estimatedTotalTimeSeconds": response.json()["statusMessages"]["estimatedTotalTimeSeconds"],
        },
        "request_id": request_id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
        "logs": None,
        "metrics": {},
    }
    assert response.headers["x-fal-request-id"] == request_id


async def test_running(service: Service) -> None:
    """A running request responds with 202 and counts its tasks from the first moment, with a total that stays."""
    request_id = await service.submit(batch_size=4, width=3200, height=2000)
    lease = await service.claim()
    first = await service.client.get(service.status_path(request_id))
    await service.store.leases.report_progress(lease, Progress(10, 12))
    later = await service.client.get(service.status_path(request_id))

    assert (first.status_code, later.status_code) == (202, 202)
    assert first.json()["status"] == "IN_PROGRESS"
    assert first.json()["queue_position"] == 0
    assert first.json()["statusMessages"]["message"] == "Progress: 0/12 Tasks done"
    assert later.json()["statusMessages"]["message"] == "Progress: 10/12 Tasks done"


async def test_succeeded(service: Service) -> None:
    """A finished request responds with 200, all tasks done, with what it took."""
    request_id = await service.submit()
    lease = await service.claim()
    await service.store.leases.report_progress(lease, Progress(11, 12))
    service.clock.time += 7
    await service.succeed(lease, seconds=1.25)

    response = await service.client.get(service.status_path(request_id))

    assert response.status_code == 200
    assert response.json()["status"] == "COMPLETED"
    assert response.json()["statusMessages"] == {
        "message": "Progress: 12/12 Tasks done",
        "estimatedTotalTimeSeconds": 7,
    }
    assert response.json()["metrics"] == {"inference_time": 1.25}
    assert "error" not in response.json()


async def test_failed(service: Service) -> None:
    """A failed request is completed, and says why."""
    request_id = await service.submit()
    await service.fail(await service.claim(), FailureKind.OUT_OF_MEMORY, "Too large: try a smaller size.")

    response = await service.client.get(service.status_path(request_id))

    assert response.status_code == 200
    assert response.json()["status"] == "COMPLETED"
    assert response.json()["error"] == "Too large: try a smaller size."
    assert response.json()["error_type"] == "out_of_memory"
    assert response.json()["metrics"] == {"inference_time": None}


async def test_handed_back(service: Service) -> None:
    """A request whose worker was lost waits again, in its old place."""
    request_id = await service.submit()
    lease = await service.claim()
    await service.submit()
    lost = Interrupted(Failure(FailureKind.WORKER_LOST, "The worker was lost."))
    await service.store.leases.finish(lease, lost, service.clock.now())

    response = await service.client.get(service.status_path(request_id))

    assert response.json()["status"] == "IN_QUEUE"
    assert response.json()["queue_position"] == 0


@pytest.mark.parametrize("query", ["logs=1", "logs=true", "logs=True", "x=1&logs=1", "logs=yes", "logs=%31"])
async def test_logs_when_asked(service: Service, query: str) -> None:
    """Asked for, logs are a list of all that happened, in fal's shape."""
    request_id = await service.submit()
    lease = await service.claim()
    await service.store.leases.finish(lease, Released("the worker stops"), service.clock.now())

    logs = (await service.client.get(f"{service.status_path(request_id)}?{query}")).json()["logs"]

    assert [line["message"][:7] for line in logs] == ["Queued ", "Started", "Attempt"]
    assert logs[0].keys() == {"message", "level", "source", "timestamp"}
    assert {line["source"] for line in logs} == {"USER"}
    assert logs[0]["timestamp"] == "1970-01-12T13:46:40.000Z"


@pytest.mark.parametrize("query", ["", "?logs=0", "?logs=false", "?logs", "?logs=%FF", "?logs=2"])
async def test_no_logs_unless_asked(service: Service, query: str) -> None:
    """Not asked for, logs are null, and never missing."""
    request_id = await service.submit()

    assert (await service.client.get(f"{service.status_path(request_id)}{query}")).json()["logs"] is None


@pytest.mark.parametrize("called", [APP, EDIT])
@pytest.mark.parametrize("tail", ["/status", "/status/"])
async def test_responds_under_every_app(service: Service, called: str, tail: str) -> None:
    """A request is served under every known app's path, with URLs of the app that was called."""
    request_id = await service.submit()

    response = await service.client.get(f"/fal/queue/{called}/requests/{request_id}{tail}")

    assert response.json()["status_url"] == f"http://pipelet.test/fal/queue/{called}/requests/{request_id}/status"


async def test_the_response_is_ascii(service: Service) -> None:
    """Bodies are ASCII whatever they say: fal's JavaScript client decodes them chunk by chunk."""
    request_id = await service.submit()
    await service.fail(await service.claim(), FailureKind.INVALID_INPUT, "Größe ist zu groß: 🎨")

    response = await service.client.get(service.status_path(request_id))

    assert response.content.isascii()
    assert response.json()["error"] == "Größe ist zu groß: 🎨"


async def test_cancel_while_queued(service: Service) -> None:
    """A waiting request is cancelled, as often as one asks, and never runs."""
    request_id = await service.submit()
    path = f"{service.result_path(request_id)}/cancel"

    responses = [await service.client.put(path), await service.client.put(f"{path}/", content=b"{}")]

    assert [(response.status_code, response.json()) for response in responses] == [
        (202, {"status": "CANCELLATION_REQUESTED"})
    ] * 2
    assert await service.queued() == 0
    status = await service.client.get(service.status_path(request_id))
    assert (status.status_code, status.json()["status"]) == (200, "COMPLETED")
    assert status.json()["error_type"] == "client_cancelled"


async def test_cancel_while_running(service: Service) -> None:
    """A request that has begun is not cancelled."""
    request_id = await service.submit()
    await service.claim()

    response = await service.client.put(f"{service.result_path(request_id)}/cancel")

    assert response.status_code == 400
    assert response.json()["status"] == "ALREADY_IN_PROGRESS"
    assert response.json()["message"] == response.json()["detail"]


async def test_cancel_when_over(service: Service) -> None:
    """A request that has ended is not cancelled."""
    request_id = await service.submit()
    await service.succeed(await service.claim())

    response = await service.client.put(f"{service.result_path(request_id)}/cancel")

    assert response.status_code == 400
    assert response.json()["status"] == "ALREADY_COMPLETED"
