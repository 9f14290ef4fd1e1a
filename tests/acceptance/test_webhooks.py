"""Webhooks of a real service that is killed in between."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.support.jobs import APP
from tests.support.servers.web import silence
from tests.support.service import Service
from tests.support.waiting import eventually
from tests.webhooks import receiver as receivers
from tests.webhooks.receiver import Receiver, verify

SETTINGS = {"allowed_networks": "127.0.0.0/8", "webhook_timeout_seconds": "1"}


@contextlib.asynccontextmanager
async def running(service: Service) -> AsyncIterator[Service]:
    """From a thread, so that endpoints respond in the meantime."""
    await asyncio.to_thread(service.__enter__)
    try:
        yield service
    finally:
        await asyncio.to_thread(service.__exit__)


def submit(service: Service, receiver: Receiver) -> str:
    body = {"prompt": "a red apple", "width": 64, "height": 64}
    code, response = service.call("POST", f"/fal/queue/{APP}?fal_webhook={receiver.url}", body)
    assert code == 200, response
    return str(response["request_id"])


def in_the_outbox(service: Service, request_id: str) -> bool:
    """Looked up past the service, which is down."""
    with contextlib.closing(sqlite3.connect(service.data_dir / "pipelet.sqlite")) as database:
        return bool(database.execute("SELECT 1 FROM webhook_delivery WHERE job_id = ?", [request_id]).fetchall())


def unsigned(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "image": None, "images": None, "results": [url.split("?")[0] for url in document["results"]]}


async def test_what_ends_while_the_sender_is_dead_is_told_after_a_restart(tmp_path: Path) -> None:
    """`kill -9` of the service while a request runs: its worker ends it, and the next start tells the receiver, once,
    signed so that the published keys confirm it, with the result as the API gives it and a file that can be fetched."""
    service = Service(tmp_path, settings=SETTINGS)
    async with Receiver() as receiver, running(service):
        await asyncio.to_thread(service.wait_for_worker)
        with service.paused():
            request_id = await asyncio.to_thread(submit, service, receiver)
            await asyncio.to_thread(service.wait, request_id, status="IN_PROGRESS")
            service.kill_main()
        await asyncio.to_thread(eventually, lambda: in_the_outbox(service, request_id), within=30, why=service.log())
        assert receiver.calls.empty()

        await asyncio.to_thread(service.start)
        call = await receiver.next_call()

        jwks = (await asyncio.to_thread(service.call, "GET", "/.well-known/jwks.json"))[1]
        result = (await asyncio.to_thread(service.call, "GET", f"/fal/queue/{APP}/requests/{request_id}"))[1]
        message = call.message
        image = await asyncio.to_thread(lambda: urlopen(message["payload"]["results"][0], timeout=10).read(4))
    assert verify(jwks, call.headers, call.body)
    assert not verify(jwks, call.headers, call.body + b" ")
    assert (request_id, "OK") == (message["request_id"], message["status"])
    assert unsigned(result) == unsigned(message["payload"])
    assert b"\x89PNG" == image
    assert receiver.calls.empty()


async def test_a_call_that_died_with_its_process_is_made_again(tmp_path: Path) -> None:
    """`kill -9` while the receiver has the call, and has not responded: it gets it again, and can check it again."""
    service = Service(tmp_path, settings=SETTINGS | {"webhook_timeout_seconds": "2"}, arguments=["--workers", "0"])
    async with Receiver(silence) as receiver, running(service):
        request_id = await asyncio.to_thread(submit, service, receiver)
        cancel = f"/fal/queue/{APP}/requests/{request_id}/cancel"
        assert 202 == (await asyncio.to_thread(service.call, "PUT", cancel))[0]
        first = await receiver.next_call()
        await asyncio.to_thread(service.kill)
        receiver.response = receivers.status(200)

        await asyncio.to_thread(service.start)
        again = await receiver.next_call()

        jwks = (await asyncio.to_thread(service.call, "GET", "/.well-known/jwks.json"))[1]
        listed = await asyncio.to_thread(service.run, "webhooks", "list")
    assert first.message == again.message
    assert "client_cancelled" == again.message["payload"]["error_type"]
    assert int(again.headers["x-fal-webhook-timestamp"]) > int(first.headers["x-fal-webhook-timestamp"])
    assert verify(jwks, again.headers, again.body)
    assert [[request_id, "delivered", "1", "200"]] == [
        [row[0], row[1], row[3], row[4]] for row in map(str.split, listed.stdout.splitlines()[1:])
    ]
