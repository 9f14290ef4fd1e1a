"""Previews of running requests: the route, and the events of both streams."""

import base64

import pytest

from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.generation.preview import Preview
from pipelet.domain.jobs.job import Lease
from tests.api.service import Service
from tests.api.v1.calls import LIST, call, get
from tests.api.v1.events import listening
from tests.support.waiting import until

CONTENT = frozenset({Scope.GENERATE, Scope.OBSERVE, Scope.CONTENT})
IMAGE = b"RIFF....WEBP"


async def show(service: Service, lease: Lease, *, index: int = 0, step: int = 2) -> None:
    """Store a preview as soon as a client watches."""
    clock, job_id = service.clock, lease.job.id
    clock.time += 0.5
    made = Preview(index=index, step=step, image=IMAGE, made_at=clock.now())
    await until(lambda: service.store.previews.save(lease, made))
    assert job_id in await service.store.previews.newest([job_id])


async def test_a_preview_can_be_polled(service: Service) -> None:
    """204 until there is one; it is never cached, and gone when the request has ended."""
    request_id = await service.submit()
    path = f"{LIST}/{request_id}/preview"
    await get(service, path, status=204)
    lease = await service.claim()
    none = await service.client.get(path)
    assert (204, b"", "no-store") == (none.status_code, none.content, none.headers["cache-control"])
    await show(service, lease)

    response = await service.client.get(path)

    assert (200, IMAGE) == (response.status_code, response.content)
    assert ("image/webp", "no-store") == (response.headers["content-type"], response.headers["cache-control"])
    await service.succeed(lease)
    await get(service, path, status=204)
    await call(service, "DELETE", f"{LIST}/{request_id}", status=204)
    await get(service, path, status=404)


async def test_others_see_no_preview(service: Service) -> None:
    """Without `content` it is an unknown request. With it the audit trail has the read, unless the request is not to be
    stored: then only its user sees it."""
    bob, operator = await service.new_key("bob"), await service.new_key("op", scopes=CONTENT)
    observer = await service.new_key("op", scopes=CONTENT - {Scope.CONTENT})
    for headers, status in (({}, 200), ({"X-Fal-Store-IO": "0"}, 404)):
        service.client.headers.update(headers)
        request_id = await service.submit()
        path = f"{LIST}/{request_id}/preview"
        lease = await service.claim()
        await get(service, path, status=204)
        await show(service, lease)
        for key, expected in ((bob, 404), (observer, 404), (operator, status)):
            response = await service.client.get(path, headers={"Authorization": f"Bearer {key}"})
            assert expected == response.status_code
        assert 200 == (await service.client.get(path)).status_code
        reads = [each.target for each in await service.store.audit.list_entries(10)]
        assert (status == 200) is (request_id in reads)


async def test_a_status_stream_has_previews_where_asked(service: Service, url: str) -> None:
    """As events of their own, without an id, so that `Last-Event-ID` still resumes the status; then the end."""
    request_id = await service.submit()
    async with listening(f"{url}{service.status_path(request_id)}/stream?previews=1", service.key) as events:
        lease = await service.claim()
        for step in (2, 3):
            await show(service, lease, index=step - 2, step=step)
            event = await events.until("preview", index=step - 2, step=step)
            assert event.id == ""
            assert f"data:image/webp;base64,{base64.b64encode(IMAGE).decode()}" == event.body["image"]
            assert {"image", "index", "step"} == event.body.keys()
        await service.succeed(lease)
        ended = await events.until("message", status="COMPLETED")
        assert ended.id
        await events.end()


async def test_a_status_stream_has_none_unasked(service: Service, url: str) -> None:
    """No worker is asked to make any."""
    request_id = await service.submit()
    async with listening(f"{url}{service.status_path(request_id)}/stream?previews=0", service.key) as events:
        lease = await service.claim()
        await events.until("message", status="IN_PROGRESS")
        assert {} == await service.store.leases.list_signals(lease.worker, service.clock.now())
        await service.succeed(lease)
        await events.end()


async def test_the_stream_of_changes_has_previews_of_named_requests(service: Service, url: str) -> None:
    """Of the caller's own alone, whatever ids are named; the others of the stream have none."""
    bob = await service.new_key("bob")
    first, second = await service.submit(), await service.submit()
    leases = [await service.claim(), await service.claim()]
    ids = f"{first},{'0' * 20}"
    path = f"{url}/api/v1/stream?previews="
    async with listening(path + ids, service.key) as own, listening(path + ids, bob) as other:
        await own.until("request", id=second)
        await show(service, leases[0], index=1, step=4)
        event = await own.until("preview", id=first, index=1, step=4)
        assert {"id", "image", "index", "step"} == event.body.keys()
        theirs = await service.client.post(
            LIST,
            json={"app": leases[0].job.app, "input": {"prompt": "a"}},
            headers={"Authorization": f"Bearer {bob}"},
        )
        heard = [await other.next()]
        while heard[-1].name != "request":
            heard.append(await other.next())
        assert theirs.json()["id"] == heard[-1].body["id"]
        assert "preview" not in {each.name for each in heard}
    assert not (await service.store.previews.states([second]))[second].wanted_until


@pytest.mark.parametrize("ids", ["", "x", ",".join(["0" * 20] * 9), f"{'0' * 20},"])
async def test_what_is_no_list_of_ids_is_refused(service: Service, ids: str) -> None:
    """As are more than eight."""
    await get(service, "/api/v1/stream", status=422, previews=ids)
