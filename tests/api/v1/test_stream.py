"""`GET /api/v1/stream` and `/api/v1/operate/stream`: what is told, to whom, and when a stream ends."""

import asyncio
import time

import httpx2
import pytest

from pipelet.domain.accounts.api_keys import KEY_CACHE_SECONDS
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.jobs.outcome import FailureKind
from pipelet.domain.jobs.progress import Progress
from tests.api.service import Service
from tests.api.streams import serving
from tests.api.v1.events import PATIENCE, Event, EventReader, listening
from tests.api.v1.session.browser import PAGE, cookie_of
from tests.support.jobs import APP

PATH = "/api/v1/stream"
OBSERVER = frozenset({Scope.GENERATE, Scope.OBSERVE})


@pytest.fixture
def stream(url: str) -> str:
    return f"{url}{PATH}"


async def test_a_request_is_told_from_submit_to_deletion(service: Service, stream: str) -> None:
    """Each change of it is an event: queued, running, its progress, its end; then its deletion."""
    async with listening(stream, service.key) as events:
        request_id = await service.submit(prompt="a star")
        queued = await events.until("request", id=request_id)
        lease = await service.claim()
        await events.until("request", id=request_id, state="running")
        await service.store.leases.report_progress(lease, Progress(3, 12))
        await events.until("request", id=request_id, progress={"done": 3, "total": 12})
        await service.succeed(lease)
        await events.until("request", id=request_id, state="succeeded")
        assert 204 == (await service.client.delete(f"/api/v1/requests/{request_id}")).status_code
        await events.until("deleted", id=request_id)

    assert ("queued", 0, "a star") == (queued.body["state"], queued.body["position"], queued.body["input"]["prompt"])


async def test_a_new_stream_tells_how_things_are(service: Service, stream: str) -> None:
    """The newest requests come oldest first, then the apps; the same again for every stream."""
    await service.heartbeat()
    ids = []
    for _ in range(3):
        service.clock.time += 1
        ids.append(await service.submit())
    for _ in range(2):
        async with listening(stream, service.key) as events:
            found = [await events.next() for _ in range(4)]

        assert ids == [each.body["id"] for each in found[:3]]
        assert {"app": APP, "paused_at": None, "workers": 1} == found[3].body


async def test_positions_of_others_requests_move_ours(service: Service, stream: str) -> None:
    """A request is told again when its place in the queue changes."""
    other = await service.new_key("bob")
    path, body = f"/fal/queue/{APP}", {"prompt": "first"}
    await service.client.post(path, json=body, headers={"Authorization": f"Bearer {other}"})
    ours = await service.submit()
    async with listening(stream, service.key) as events:
        await events.until("request", id=ours, position=1)
        await service.claim()
        await events.until("request", id=ours, position=0)


async def test_another_user_hears_nothing(service: Service, stream: str) -> None:
    """The stream has the requests of its own user alone, also for a key that may observe."""
    other = await service.new_key("bob", scopes=OBSERVER)
    async with listening(stream, other) as events, listening(stream, service.key) as own:
        ours = await service.submit()
        await own.until("request", id=ours)
        theirs = await service.client.post(
            f"/fal/queue/{APP}", json={"prompt": "x"}, headers={"Authorization": f"Bearer {other}"}
        )
        heard = [await events.next()]
        while heard[-1].name != "request":
            heard.append(await events.next())

    assert theirs.json()["request_id"] == heard[-1].body["id"]


async def test_a_paused_app_is_told(service: Service, stream: str) -> None:
    """An `app` event says when it was paused, and that it is resumed."""
    async with listening(stream, service.key) as events:
        await service.store.queue.pause(APP, service.clock.now())
        await events.until("app", app=APP, paused_at="1970-01-12T13:46:40.000Z")
        await service.store.queue.resume(APP)
        await events.until("app", app=APP, paused_at=None)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same process", "other process"])
async def test_a_stream_resumes(service: Service, stream: str, elsewhere: bool) -> None:
    """With `Last-Event-ID` it tells what was missed, at any process: an end, a new request and a deletion."""
    _, ends, goes = [await service.submit() for _ in range(3)]
    for _ in range(2):
        await service.fail(await service.claim(), FailureKind.INTERNAL, "broken")
    async with listening(stream, service.key) as events:
        last = await events.until("request", id=goes)
    service.clock.time += 60
    await service.fail(await service.claim(), FailureKind.INTERNAL, "broken")
    assert 204 == (await service.client.delete(f"/api/v1/requests/{ends}")).status_code
    new = await service.submit()

    async with serving(service.another_api()) as (other_url, _):
        url = f"{other_url}{PATH}" if elsewhere else stream
        async with listening(url, service.key, Last_Event_ID=last.id) as events:
            heard: dict[str, Event] = {}
            while not {goes, ends, new} <= heard.keys():
                event = await events.next()
                heard[event.body.get("id", "")] = event
                assert "list" != event.name

    assert ("request", "deleted", "request") == (heard[goes].name, heard[ends].name, heard[new].name)
    assert "failed" == heard[goes].body["state"]


@pytest.mark.parametrize("cursor", ["0.000-0", "1000000.000-99", "9999999999.000-0"])
async def test_a_cursor_that_cannot_be_resumed(service: Service, stream: str, cursor: str) -> None:
    """One that is too old, of another database or of a wrong clock: the client is told to read its list again."""
    await service.submit()
    async with listening(stream, service.key, Last_Event_ID=cursor) as events:
        assert ("list", {}) == (await events.next())[::2]
        assert "request" == (await events.next()).name


async def test_a_forged_cursor_starts_from_the_beginning(service: Service, stream: str) -> None:
    """Another text is ignored."""
    request_id = await service.submit()
    for cursor in ("x", "1-2", "-1.000-0", "9" * 99):
        async with listening(stream, service.key, Last_Event_ID=cursor) as events:
            assert request_id == (await events.next()).body["id"]


async def _ends(reader: EventReader) -> float:
    began = time.monotonic()
    await reader.end()
    return time.monotonic() - began


@pytest.mark.parametrize("path", [PATH, "/api/v1/operate/stream"])
async def test_a_revoked_key_ends_its_streams(service: Service, url: str, path: str) -> None:
    """Within two seconds, though nothing else happens; those of other keys stay open."""
    key = await service.new_key("ada", scopes=OBSERVER)
    kept = await service.new_key("ada", scopes=OBSERVER)
    await service.submit()
    async with listening(f"{url}{path}", key) as events, listening(f"{url}{path}", kept) as other:
        await events.next()
        await other.next()
        await service.store.api_keys.revoke(await service.id_of(key), service.clock.now())
        assert await _ends(events) < 2
        await service.heartbeat()
        await other.next()


async def test_a_revoked_key_ends_the_stream_of_its_session(service: Service, url: str) -> None:
    """One that a page opened by cookie, within two seconds as well; the page signs in again in vain."""
    key = await service.new_key("ada")
    async with httpx2.AsyncClient(timeout=PATIENCE) as page:
        signed_in = await page.post(f"{url}/api/v1/session", json={"key": key}, headers=PAGE)
        headers = cookie_of(signed_in)
        async with page.stream("GET", f"{url}{PATH}", headers=headers) as response:
            events = EventReader(response)
            await service.submit()
            await events.next()
            await service.store.api_keys.revoke(await service.id_of(key), service.clock.now())
            assert await _ends(events) < 2
        service.clock.time += KEY_CACHE_SECONDS
        assert 401 == (await page.get(f"{url}{PATH}", headers=headers)).status_code


async def test_streams_end_with_the_server(service: Service) -> None:
    """They end in order when the server stops, and it does not wait for them."""
    key = await service.new_key("ada", scopes=OBSERVER)
    async with (
        serving(service.app) as (url, server),
        listening(f"{url}{PATH}", key) as events,
        listening(f"{url}/api/v1/operate/stream", key) as other,
    ):
        await service.submit()
        await events.next()
        await other.next()
        server.should_exit = True
        assert await _ends(events) < 2
        assert await _ends(other) < 2


async def test_streams_count_among_the_open_ones(service: Service) -> None:
    """A user may hold half of all; the next one gets 429."""
    async with (
        serving(service.another_api(max_open_streams=2)) as (url, _),
        listening(f"{url}{PATH}", service.key) as first,
        listening(f"{url}{PATH}", service.key) as second,
    ):
        assert (200, 429) == (first.response.status_code, second.response.status_code)


async def test_the_overview_is_told_when_it_changes(service: Service, url: str) -> None:
    """The first one comes at once, for each who watches; the next one after a change."""
    key = await service.new_key("ops", scopes=OBSERVER)
    path = f"{url}/api/v1/operate/stream"
    async with listening(path, key) as events, listening(path, key) as others:
        assert [0, 0] == [each["queued"] for each in (await events.next()).body["apps"]]
        assert [0, 0] == [each["queued"] for each in (await others.next()).body["apps"]]
        await service.submit()
        for each in (events, others):
            changed = await each.next()
            assert 1 == sum(app["queued"] for app in changed.body["apps"])


async def test_the_overview_is_not_computed_while_none_watches(service: Service, url: str) -> None:
    """When the last stream has ended, the feed stops."""
    key = await service.new_key("ops", scopes=OBSERVER)
    async with listening(f"{url}/api/v1/operate/stream", key) as events:
        await events.next()
    feed = service.app.state.v1_feeds.overview
    async with asyncio.timeout(5):
        while feed._polling.is_running:
            await asyncio.sleep(0.01)
