"""Streams that may not be opened, or not stay."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.api.service import Service
from tests.api.streams import PATIENCE, serving, streaming
from tests.support.jobs import APP


@pytest.mark.parametrize("is_revoked", [True, False], ids=["revoked", "expired"])
async def test_a_key_that_is_refused_ends_its_streams(service: Service, url: str, is_revoked: bool) -> None:
    """Within two seconds, by an abort, so that it does not look like the end of the request; the streams of another
    key continue."""
    other = await service.new_key("ada")
    lost = await service.new_key("ada", expires_at=service.clock.now() + 60)
    request_id = await service.submit()
    async with (
        streaming(service, url, request_id, Authorization=f"Key {lost}") as stream,
        streaming(service, url, request_id, Authorization=f"Key {other}") as another,
    ):
        await stream.next()
        await another.next()
        if is_revoked:
            await service.store.api_keys.revoke(await service.id_of(lost), service.clock.now())
        else:
            service.clock.time += 60
            await service.submit()  # any change makes it look
        with pytest.raises(httpx2.RemoteProtocolError):
            await stream.next(within=2)
        await service.claim()
        assert "IN_PROGRESS" == (await another.next()).body["status"]


async def test_one_user_has_half_of_the_room(service: Service) -> None:
    """More streams and calls of /fal/run are refused with what to do; others are not, and who leaves gives it back."""
    request_id = await service.submit()
    headers = {"Authorization": f"Bearer {service.key}"}
    async with (
        serving(service.another_api(max_open_streams=2)) as (url, _),
        httpx2.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE) as client,
    ):
        async with streaming(service, url, request_id) as stream:
            await stream.next()
            refused = [
                await client.get(f"{service.status_path(request_id)}/stream"),
                await client.post(f"/fal/run/{APP}", json={"prompt": "a"}),
            ]
            async with listening_user(service, url, "eve"):
                pass
        async with asyncio.timeout(PATIENCE):
            while not await has_room(service, url, request_id):
                await asyncio.sleep(0)

    assert [429, 429] == [response.status_code for response in refused]
    assert ["streams_limit"] * 2 == [response.json()["error_type"] for response in refused]
    assert all(
        "have 1 streams" in response.json()["message"] and "Poll" in response.json()["message"] for response in refused
    )
    assert 2 == await service.queued()  # one of each user: the refused call has queued nothing


async def test_all_users_share_the_room(service: Service) -> None:
    """At the limit, new streams get 503, and polls continue."""
    request_id = await service.submit()
    async with (
        serving(service.another_api(max_open_streams=2)) as (url, _),
        listening_user(service, url, "eve"),
        listening_user(service, url, "mia"),
        streaming(service, url, request_id) as stream,
    ):
        assert (503, True) == (stream.response.status_code, "retry-after" in stream.response.headers)
        assert 202 == (await service.client.get(service.status_path(request_id))).status_code


@contextlib.asynccontextmanager
async def listening_user(service: Service, url: str, name: str) -> AsyncIterator[None]:
    """One with a key and a request, that has received its status once and continues to listen."""
    headers = {"Authorization": f"Bearer {await service.new_key(name)}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers) as client:
        request_id = (await client.post(f"/fal/queue/{APP}", json={"prompt": "a"})).json()["request_id"]
    async with streaming(service, url, request_id, **headers) as stream:
        await stream.next()
        yield


async def has_room(service: Service, url: str, request_id: str) -> bool:
    async with streaming(service, url, request_id) as stream:
        return stream.response.status_code == 200


async def test_a_defect_ends_streams_and_not_the_watcher_of_later_ones(
    service: Service, url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A crash of the status feed is logged. All its streams are aborted, and clients that reconnect get the status."""
    damaged, whole = await service.submit(), await service.submit()
    async with streaming(service, url, damaged) as stream, streaming(service, url, whole) as another:
        await stream.next()
        await another.next()
        with contextlib.closing(sqlite3.connect(tmp_path / "pipelet.db")) as database, database:
            database.execute("UPDATE job SET spec = '{', tasks_done = 1 WHERE id = ?", (damaged,))
        for each in (stream, another):
            with pytest.raises(httpx2.RemoteProtocolError):
                await each.next()
    async with streaming(service, url, whole) as again:
        await again.next()
        await service.store.jobs.cancel(whole, service.clock.now())
        assert "COMPLETED" == (await again.next()).body["status"]

    assert "JSONDecodeError" in caplog.text
