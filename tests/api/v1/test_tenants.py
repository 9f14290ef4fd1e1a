"""No caller sees or changes more than their key allows: every route, with every scope, for own, other and unknown ids.

The routes come from the table, so a new row is tested without a change here; a route whose body has required fields
gets one below, so that the body is no reason for a refusal.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pipelet.api.v1.routes import ROUTES
from pipelet.api.v1.routing import OpenRoute, Route
from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.accounts.scopes import Scope
from tests.api.service import Service, build
from tests.support.databases import Opener
from tests.support.images import png
from tests.support.jobs import APP, FakeClock

UNKNOWN = "0" * 20
SECRET, HIDDEN = "an owl that only bob knows", "a hidden fox of bob"
SCOPES = [
    frozenset[Scope](),
    *(frozenset({scope}) for scope in Scope),
    *(frozenset({Scope.GENERATE, scope}) for scope in Scope if scope is not Scope.GENERATE),
    frozenset({Scope.GENERATE, Scope.OBSERVE, Scope.CONTENT}),
    frozenset({Scope.GENERATE, Scope.OBSERVE, Scope.OPERATE}),
    frozenset(Scope),
]
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/v1/requests"): {"app": APP, "input": {"prompt": "a"}},
    ("POST", "/api/v1/estimate"): {"app": APP, "input": {"prompt": "a"}},
    ("PATCH", "/api/v1/requests/{request_id}"): {"keep": True},
    ("PATCH", "/api/v1/operate/requests/{request_id}"): {"priority": 0},
}
OWNED = ("{request_id}", "{upload_id}")
"""Ids of what belongs to a user."""
NOT_JSON = {("POST", "/api/v1/uploads"): png()}
PARTS = ("{number}", "/preview", "/webhooks/")
"""Paths of what these requests do not have."""
EVERYONES = [
    f"/api/v1/requests?{criterion}" for criterion in ("user=*", "user=bob", "priority=0", "worker=w1", "key=k")
]


@dataclass
class Tenants:
    """Ann, whose key has some scopes, and bob, whose requests are not hers."""

    service: Service
    ann: str
    bob: str

    async def submit(self, secret: str, prompt: str, **headers: str) -> str:
        headers |= {"Authorization": f"Bearer {secret}"}
        response = await self.service.client.post(f"/fal/queue/{APP}", json={"prompt": prompt}, headers=headers)
        assert response.status_code == 200
        return str(response.json()["request_id"])

    async def upload(self, secret: str) -> str:
        headers = {"Authorization": f"Bearer {secret}"}
        response = await self.service.client.post("/api/v1/uploads", content=png(), headers=headers)
        assert response.status_code == 201
        return str(response.json()["id"])

    async def call(self, route: Route, owned_id: str) -> httpx2.Response:
        """`owned_id` is that of a request, or of an upload, whichever is in the path."""
        path = re.sub(r"\{(\w+)(:path)?\}", lambda name: owned_id if name[0] in OWNED else UNKNOWN, route.path)
        row = (route.method, route.path)
        body: dict[str, Any] = {"content": NOT_JSON[row]} if row in NOT_JSON else {"json": BODIES.get(row, {})}
        body = {} if route.method == "GET" else body
        response = await self.send(route.method, path, **body)
        assert response.status_code < 500, (route.method, path, response.text)
        return response

    async def send(self, method: str, path: str, **rest: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.ann}"}
        return await self.service.client.request(method, path, headers=headers, **rest)


@pytest.fixture
async def service(opener: Opener, tmp_path: Path) -> AsyncIterator[Service]:
    blobs = DiskBlobStore(tmp_path / "files", signing_key=b"k" * 32, url_ttl_seconds=7200)
    async with opener() as store:
        app = build(store, blobs, clock := FakeClock())
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://pipelet.test") as client:
            yield Service(app, store, blobs, clock, client)  # type: ignore[arg-type]


async def tenants(service: Service, scopes: frozenset[Scope], bob: str) -> Tenants:
    return Tenants(service, await service.new_key("ann", scopes=scopes), bob)


def problems(found: dict[str, httpx2.Response], route: Route, scopes: frozenset[Scope]) -> list[str]:
    """Return what is wrong with the responses for an own, another user's and an unknown id."""
    wrong = []
    if route.scope is not None and not scopes & {route.scope, route.or_scope}:
        for whose, response in found.items():
            named = f"`{route.scope}`" in response.text
            if response.status_code != 403 or response.json().get("error_type") != "missing_scope" or not named:
                wrong.append(f"{whose}: {response.status_code} instead of a 403 that names {route.scope}")
        return wrong
    texts = {whose: response.text for whose, response in found.items()}
    if any(part in route.path for part in OWNED):
        if found["unknown"].status_code != 404:
            wrong.append(f"unknown: {found['unknown'].status_code} instead of 404")
        if found["own"].status_code == 404 and not any(part in route.path for part in PARTS):
            wrong.append("own: 404")
        if not scopes & {Scope.OBSERVE, Scope.OPERATE} and texts["other"] != texts["unknown"]:
            wrong.append("other: not the response to an unknown id")
    if any(HIDDEN in text for text in texts.values()):
        wrong.append("shows an input that is not to be stored")
    if Scope.CONTENT not in scopes and any(SECRET in text for text in texts.values()):
        wrong.append("shows content of another user")
    return wrong


async def test_every_route_keeps_tenants_apart(service: Service) -> None:
    """A scope that is missing is a 403 that names it, whatever the id; another's id is an unknown one; nothing of
    another user's content is in any response without `content`, and nothing that is not to be stored in any."""
    bob, wrong = await service.new_key("bob"), []
    for scopes in SCOPES:
        each = await tenants(service, scopes, bob)
        writer = await service.new_key("ann")
        for route in ROUTES:
            if isinstance(route, OpenRoute):
                continue
            if route.path.endswith("/stream") and scopes & {route.scope, route.or_scope}:
                continue  # it would not end; `test_stream` has its rules
            has_id = "{request_id}" in route.path
            ids = {"own": UNKNOWN, "other": UNKNOWN, "unknown": UNKNOWN}
            if has_id and (route.scope is None or route.scope in scopes):
                ids["own"], ids["other"] = await each.submit(writer, "mine"), await each.submit(bob, SECRET)
                await each.submit(bob, HIDDEN, **{"X-Fal-Store-IO": "0"})
            if "{upload_id}" in route.path:
                ids["own"], ids["other"] = await each.upload(writer), await each.upload(bob)
            found = {whose: await each.call(route, owned_id) for whose, owned_id in ids.items()}
            named = " ".join(sorted(scopes))
            wrong += [f"{route.method} {route.path} [{named}] {text}" for text in problems(found, route, scopes)]
    assert [] == wrong


async def test_filters_for_others_need_a_scope(service: Service) -> None:
    """Lists need `observe`, bulk actions `operate`, and a search without `content` finds nothing of others."""
    bob = await service.new_key("bob")
    only = await tenants(service, frozenset({Scope.GENERATE}), bob)
    observer = await tenants(service, frozenset({Scope.GENERATE, Scope.OBSERVE}), bob)
    theirs = await only.submit(bob, SECRET)

    for path in EVERYONES:
        refused = await only.send("GET", path)
        assert (403, "missing_scope") == (refused.status_code, refused.json()["error_type"])
        assert "`observe`" in refused.json()["message"]
        assert 200 == (await observer.send("GET", path)).status_code
    assert [] == (await only.send("GET", "/api/v1/requests?user=ann")).json()["items"]
    assert [theirs] == [each["id"] for each in (await observer.send("GET", EVERYONES[0])).json()["items"]]
    assert [] == (await observer.send("GET", f"{EVERYONES[0]}&q=owl")).json()["items"]
    for action in ("cancel", "delete", "retry"):
        wanted = {"filter": {"user": "bob"}, "expect": 1}
        refused = await observer.send("POST", f"/api/v1/requests/{action}", json=wanted)
        assert 403 == refused.status_code
        assert "`operate`" in refused.json()["message"]
    assert 1 == await service.queued()


async def test_operating_does_not_need_seeing(service: Service) -> None:
    """A key with `operate` and no `observe` cancels and deletes the requests of others, and cannot read them."""
    bob = await service.new_key("bob")
    operator = await tenants(service, frozenset({Scope.GENERATE, Scope.OPERATE}), bob)
    theirs = await operator.submit(bob, SECRET)

    assert 404 == (await operator.send("GET", f"/api/v1/requests/{theirs}")).status_code
    cancelled = await operator.send("POST", "/api/v1/requests/cancel", json={"ids": [theirs]})
    assert {"done": 1, "skipped": 0} == cancelled.json()
    log = await service.store.jobs.log((await service.store.jobs.get_many([theirs]))[theirs])
    assert "by the operator" in log[-1].message
    assert 204 == (await operator.send("DELETE", f"/api/v1/requests/{theirs}")).status_code
    assert await service.store.jobs.get(theirs) is None


async def test_acts_on_the_requests_of_others_are_in_the_audit_trail(service: Service) -> None:
    """A bulk action is one entry with the number of others' requests; acts on one's own leave none. A reader with
    `content` leaves one entry for each request and hour."""
    bob = await service.new_key("bob")
    admin = await tenants(service, frozenset(Scope), bob)
    own, theirs = await admin.submit(admin.ann, "mine"), [await admin.submit(bob, SECRET) for _ in range(2)]

    await admin.send("GET", "/api/v1/requests?user=bob")
    await admin.send("GET", f"/api/v1/requests/{theirs[0]}")
    await admin.send("POST", "/api/v1/requests/cancel", json={"ids": [own, *theirs]})
    await admin.send("POST", "/api/v1/requests/delete", json={"filter": {"user": "bob", "q": SECRET}, "expect": 2})

    entries = (await admin.send("GET", "/api/v1/operate/audit")).json()["items"]
    acts = [(entry["action"], entry["after"]) for entry in entries]
    assert [("requests.delete", {"requests": 2}), ("requests.cancel", {"requests": 2})] == acts[:2]
    assert {("requests.read_content", each) for each in theirs} == {(e["action"], e["target"]) for e in entries[2:]}
    assert SECRET not in str(entries)
