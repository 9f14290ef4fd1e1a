"""Lists, details, submits and estimates of `/api/v1`, as their callers use them."""

from typing import Any

import pytest

from pipelet.api.v1.lists import encode_cursor
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.jobs.progress import Progress
from tests.api.service import Service
from tests.api.v1.calls import LIST, call, get
from tests.support.jobs import APP, EDIT


async def test_a_newline_is_no_list(service: Service) -> None:
    """A path that ends with a newline is the id of a request, an unknown one."""
    await call(service, "GET", f"{LIST}/%0A", status=404)


async def test_a_list_says_where_each_request_is(service: Service) -> None:
    """State, position and progress of each, newest first, with its input and without another user's. Another user who
    has just come goes first."""
    await service.heartbeat()
    ids = []
    for k in range(4):
        service.clock.time += 1
        ids.append(await service.submit(f"number {k}", seed=k))
    done, running, first, second = ids
    await service.succeed(await service.claim())
    await service.store.leases.report_progress(await service.claim(), Progress(3, 12))
    bob = await service.new_key("bob")
    await call(service, "POST", LIST, key=bob, json={"app": APP, "input": {"prompt": "of bob"}})

    found = (await get(service, LIST))["items"]

    assert [second, first, running, done] == [each["id"] for each in found]
    assert ["queued", "queued", "running", "succeeded"] == [each["state"] for each in found]
    assert [2, 1, None, None] == [each["position"] for each in found]
    assert [None, None, {"done": 3, "total": 12}] == [each["progress"] for each in found[:3]]
    assert ["number 3", 3, APP, "ada"] == [
        found[0]["input"]["prompt"],
        found[0]["seed"],
        found[0]["app"],
        found[0]["user"],
    ]
    assert [None, None, None] == [found[0]["worker"], found[0]["expires_at"], found[0]["error"]]
    assert found[3]["expires_at"] > found[3]["finished_at"]
    assert all(each["estimated_seconds"] >= 1 for each in found)


async def test_pages(service: Service) -> None:
    """`next` continues a list, and is null on its last page."""
    ids = []
    for _ in range(5):
        service.clock.time += 1
        ids.append(await service.submit())

    first = await get(service, LIST, limit=2)
    second = await get(service, LIST, limit=2, after=first["next"])
    last = await get(service, LIST, limit=2, after=second["next"])

    assert ids[::-1] == [each["id"] for page in (first, second, last) for each in page["items"]]
    assert last["next"] is None
    assert [] == (await get(service, LIST, state="failed"))["items"]
    assert 5 == len((await get(service, LIST, since="1970-01-01", until="2026-01-01"))["items"])


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"stat": "failed"}, "stat"),
        ({"state": "done"}, "state"),
        ({"limit": "0"}, "limit"),
        ({"after": "x"}, "after"),
        ({"after": encode_cursor("keys", 1.0, "a")}, "after"),
        ({"q": ""}, "q"),
        ({"q": "x" * 201}, "q"),
        ({"q": "\0"}, "q"),
        ({"app": ["a", "b"]}, "app"),
        ({"since": "soon"}, "since"),
        ({"priority": "9" * 30}, "priority"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_bad_queries(shared_service: Service, params: dict[str, Any], where: str) -> None:
    """Each is refused by the name of its parameter."""
    body = await get(shared_service, LIST, status=422, **params)

    assert ["query", where] == body["detail"][0]["loc"]


async def test_a_cursor_of_another_user_shows_nothing_of_theirs(service: Service) -> None:
    """It is a place in time, in the list of the caller who sends it."""
    await service.submit()
    service.clock.time += 1
    bob = await service.new_key("bob")
    for _ in range(2):
        await call(service, "POST", LIST, key=bob, json={"app": APP, "input": {"prompt": "of bob"}})
    theirs = (await get(service, LIST, key=bob, limit=1))["next"]

    assert {"ada"} == {each["user"] for each in (await get(service, LIST, after=theirs))["items"]}


async def test_a_detail_has_everything(service: Service) -> None:
    """The images with URLs that work, and the log."""
    request_id = await service.submit(batch_size=2)
    await service.succeed(await service.claim(), data=b"png bytes")

    found = await get(service, f"{LIST}/{request_id}")

    assert ["INFO"] * 3 == [entry["level"] for entry in found["log"]]
    assert b"png bytes" == (await service.client.get(found["images"][1]["url"])).content
    assert [] == found["input_images"]
    assert 2 == found["input"]["batch_size"]
    assert found == (await get(service, f"{LIST}/{request_id}/")), "also with a slash at the end"


async def test_a_submit_is_that_of_the_queue(service: Service) -> None:
    """The same validation, with errors inside of `input`; the response is the request's detail."""
    found = await call(service, "POST", LIST, json={"app": APP, "input": {"prompt": "a cat", "width": "640"}})
    assert ("queued", 640, "a cat") == (found["state"], found["width"], found["input"]["prompt"])
    assert "IN_QUEUE" == (await get(service, service.status_path(found["id"]), status=202))["status"]

    for body, loc in (
        ({"app": APP}, ["body", "input"]),
        ({"app": APP, "input": {"prompt": "a", "heigth": 8}}, ["body", "input", "heigth"]),
        ({"app": APP, "input": {"prompt": "a", "width": 1}}, ["body", "input", "width"]),
        ({"app": EDIT, "input": {"prompt": "a"}}, ["body", "input", "image_urls"]),
        ({"app": EDIT, "input": {"prompt": "a", "image_urls": ["data:,"]}}, ["body", "input", "image_urls", 0]),
        ({"app": APP, "input": [1]}, ["body", "input"]),
        ({"app": APP, "input": {"prompt": "a"}, "priority": 3}, ["body", "priority"]),
    ):
        assert loc == (await call(service, "POST", LIST, status=422, json=body))["detail"][0]["loc"], body
    assert "not_found" == (await call(service, "POST", LIST, status=404, json={"app": "x", "input": {}}))["error_type"]
    assert 1 == await service.queued()


async def test_an_estimate_queues_nothing(service: Service) -> None:
    """It counts what is ahead; without a worker the time is unknown. An edit's images are not fetched."""
    wanted = {"app": APP, "input": {"prompt": "a", "batch_size": 4}}
    assert {"seconds": None, "position": 0} == {
        name: value
        for name, value in (await call(service, "POST", "/api/v1/estimate", json=wanted)).items()
        if name != "image_seconds"
    }
    await service.heartbeat()
    await service.submit()
    service.clock.time += 1

    found = await call(service, "POST", "/api/v1/estimate", json=wanted)

    assert 1 == found["position"]
    assert found["seconds"] > 4 * found["image_seconds"] > 0
    edit = {"app": EDIT, "input": {"prompt": "a", "image_urls": ["https://nowhere.example/a.png"]}}
    assert (await call(service, "POST", "/api/v1/estimate", json=edit))["image_seconds"] > 0
    assert 1 == await service.queued()


async def test_observing_shows_no_content(service: Service) -> None:
    """With `observe` alone, requests of others have no input, images, log or message of an error; with `content` they
    do, unless their input is not to be stored."""
    observer = await service.new_key("eve", scopes=frozenset({Scope.GENERATE, Scope.OBSERVE}))
    reader = await service.new_key("eve", scopes=frozenset(Scope))
    failed, private = await service.submit("a secret owl", seed=7), ""
    await service.fail_next()
    headers = {"X-Fal-Store-IO": "0"}
    private = (await service.client.post(f"/fal/queue/{APP}", json={"prompt": "a hidden owl"}, headers=headers)).json()[
        "request_id"
    ]

    for key, shows in ((observer, False), (reader, True)):
        for found in (
            await get(service, f"{LIST}/{failed}", key=key),
            (await get(service, LIST, key=key, user="ada", state="failed"))["items"][0],
        ):
            assert shows == (found["input"] is not None) == (found["error"] is not None) == (found["seed"] is not None)
            assert ("internal_server_error", "failed", "w1") == (found["error_type"], found["state"], found["worker"])
            assert (1024, 1, "ada") == (found["width"], found["batch_size"], found["user"])
        detail = await get(service, f"{LIST}/{private}", key=key)
        assert [None] * 4 == [detail[name] for name in ("input", "images", "log", "input_images")]
        assert shows == bool((await get(service, LIST, key=key, user="*", q="SECRET owl"))["items"])
        assert [] == (await get(service, LIST, key=key, user="*", q="hidden"))["items"]
    reads = [each.target for each in await service.store.audit.list_entries(10)]
    assert [failed] == reads, "once in an hour, and none where nothing was shown"
    assert "a hidden owl" == (await get(service, f"{LIST}/{private}"))["input"]["prompt"]


async def test_apps_describe_a_form(service: Service) -> None:
    """Fields in their order, what a form may hide, the limits of the key, and how busy each app is."""
    key = await service.new_key("bob", max_priority=3, max_queued_images=2)
    await service.submit()
    await service.store.queue.pause(APP, 1.0)

    text, edit = (await get(service, "/api/v1/apps", key=key))["items"]

    properties = text["input_schema"]["properties"]
    assert ["prompt", "width", "height", "batch_size"] == [
        name for name, field in properties.items() if not field["advanced"]
    ]
    assert list(range(len(properties))) == [field["order"] for field in properties.values()]
    assert ["prompt", "image_urls"] == list(edit["input_schema"]["properties"])[:2]
    assert [3, 2] == [
        max(shape.get("maximum", 0) for shape in (field, *field.get("anyOf", ())))
        for field in (properties["priority"], properties["batch_size"])
    ]
    assert (True, False, 1, None) == (text["paused"], edit["paused"], text["waiting"], text["seconds"])
    assert (4096, 3) == (text["limits"]["max_side"], text["limits"]["max_priority"])
    for each in (text, edit):
        await call(service, "POST", "/api/v1/estimate", json={"app": each["name"], "input": each["example"]})


async def test_a_submit_with_an_idempotency_key_is_made_once(service: Service) -> None:
    """As in the queue: repeated it returns the same request and says so, with another input it is refused; the two
    APIs share the keys."""
    headers, body = {"Idempotency-Key": "k-1"}, {"app": APP, "input": {"prompt": "once"}}

    first = await service.client.post(LIST, json=body, headers=headers)
    again = await service.client.post(LIST, json=body, headers=headers)
    by_queue = await service.client.post(f"/fal/queue/{APP}", json=body["input"], headers=headers)
    other = await service.client.post(LIST, json={"app": APP, "input": {"prompt": "twice"}}, headers=headers)

    assert [200, 200, 200, 422] == [each.status_code for each in (first, again, by_queue, other)]
    assert first.json()["id"] == again.json()["id"] == by_queue.json()["request_id"]
    assert [None, "true"] == [each.headers.get("idempotent-replayed") for each in (first, again)]
    assert "idempotency_key_reused" == other.json()["detail"][0]["type"]
    assert 1 == await service.queued()


async def test_what_is_no_idempotency_key_is_refused(service: Service) -> None:
    """Two of them, or one with blanks: at its header."""
    body = {"app": APP, "input": {"prompt": "a"}}
    for keys in (["a", "b"], ["a b"], [""]):
        response = await service.client.post(LIST, json=body, headers=[("Idempotency-Key", key) for key in keys])
        assert (422, ["header", "Idempotency-Key"]) == (response.status_code, response.json()["detail"][0]["loc"])
    assert 0 == await service.queued()
