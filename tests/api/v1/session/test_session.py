"""Sessions of browsers: who may start one, and when it ends."""

import re
from typing import Any

import httpx2
import pytest

from pipelet.domain.accounts.audit import Actor
from pipelet.domain.accounts.scopes import ALL_SCOPES
from pipelet.domain.accounts.sessions import CODE_SECONDS, IDLE_SECONDS, MAX_SECONDS
from pipelet.services.accounts.failed_logins import MAX_FAILURES
from pipelet.services.accounts.sessions import create_login_code
from tests.api.service import Service
from tests.api.v1.session.browser import COOKIE, HOST, PAGE, URL, bearer, code_of, cookie_of, maintain, sign_in
from tests.support.jobs import APP


async def test_a_key_starts_a_session(service: Service, client: httpx2.AsyncClient) -> None:
    """The cookie is out of reach of scripts, other hosts and other sites, and says who is signed in."""
    response = await sign_in(client, key=service.key)
    shown = await client.get(URL, headers=cookie_of(response))

    name, *attributes = response.headers["set-cookie"].split("; ")
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}", name)
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} == set(attributes)
    assert service.key not in response.headers["set-cookie"]
    assert "no-store" == shown.headers["cache-control"]
    body = shown.json()
    assert ("ada", "test", ["generate"]) == (body["user"], body["key"]["name"], body["key"]["scopes"])
    assert {"max_priority": None, "max_queued_images": None, "max_running_images": None} == body["limits"]
    assert body["version"]


async def test_who_am_i_with_a_key(service: Service, client: httpx2.AsyncClient) -> None:
    """The same route says what a key may do, and how much of its limits is used."""
    secret = await service.new_key("bob", max_queued_images=5)
    headers = {"Authorization": f"Bearer {secret}"}
    await client.post(f"/fal/queue/{APP}", json={"prompt": "a", "batch_size": 2}, headers=headers)

    body = (await client.get("/api/v1/session", headers=headers)).json()

    assert ("bob", 5, 2) == (body["user"], body["limits"]["max_queued_images"], body["used"]["queued_images"])


async def test_a_session_can_be_remembered(service: Service, client: httpx2.AsyncClient) -> None:
    """The browser keeps the cookie when it is closed, until the session ends at the latest."""
    response = await sign_in(client, key=service.key, remember=True)

    assert f"Max-Age={MAX_SECONDS:.0f}" in response.headers["set-cookie"]


async def test_each_login_is_a_session_of_its_own(service: Service, client: httpx2.AsyncClient) -> None:
    """A login with the cookie of an earlier session ends that one, so that a planted cookie is worth nothing."""
    first = cookie_of(await sign_in(client, key=service.key))
    other_browser = cookie_of(await sign_in(client, key=service.key))
    again = cookie_of(await client.post(URL, json={"key": service.key}, headers=PAGE | first))

    assert 3 == len({each["Cookie"] for each in (first, other_browser, again)})
    assert [401, 200, 200] == [await code_of(client, each) for each in (first, other_browser, again)]


async def test_sign_out(client: httpx2.AsyncClient, cookie: dict[str, str]) -> None:
    """The session is over at once, and the browser drops the cookie."""
    response = await client.delete(URL, headers=PAGE | cookie)

    assert 204 == response.status_code
    assert response.headers["set-cookie"].startswith(f'{COOKIE}=""; ')
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert 401 == await code_of(client, cookie)


async def test_a_session_ends_with_its_key(
    service: Service, client: httpx2.AsyncClient, cookie: dict[str, str]
) -> None:
    """Within two seconds of the revocation, also in a process that has just used it."""
    assert 200 == await code_of(client, cookie)
    await service.store.api_keys.revoke(await service.id_of(service.key), service.clock.now())
    service.clock.time += 2

    response = await client.get(URL, headers=cookie)

    assert 401 == response.status_code
    assert "revoked" in response.json()["message"]


async def test_a_session_ends_when_it_is_idle_or_old(service: Service, client: httpx2.AsyncClient) -> None:
    """Twelve hours without a request, or thirty days in all, and not a second earlier."""
    started_at = service.clock.time
    idle, used = [cookie_of(await sign_in(client, key=service.key)) for _ in range(2)]
    service.clock.time += IDLE_SECONDS - 1
    assert 200 == await code_of(client, used)
    await maintain(service)
    service.clock.time += 1
    assert [401, 200] == [await code_of(client, idle), await code_of(client, used)]

    while service.clock.time < started_at + MAX_SECONDS - IDLE_SECONDS:
        service.clock.time += IDLE_SECONDS / 2
        await code_of(client, used)
        await maintain(service)
    service.clock.time = started_at + MAX_SECONDS - 1
    assert 200 == await code_of(client, used)
    service.clock.time += 1
    assert 401 == await code_of(client, used)


async def test_a_session_survives_a_restart_and_a_clock_that_jumps(
    service: Service, client: httpx2.AsyncClient, cookie: dict[str, str]
) -> None:
    """Another process knows it, and a clock that was ahead or is set back neither ends nor prolongs it."""
    transport = httpx2.ASGITransport(service.another_api())
    async with httpx2.AsyncClient(transport=transport) as other:
        assert 200 == await code_of(other, cookie)
    service.clock.time += IDLE_SECONDS / 2
    assert 200 == await code_of(client, cookie)
    await maintain(service)
    service.clock.time -= IDLE_SECONDS
    assert 200 == await code_of(client, cookie)
    service.clock.time += MAX_SECONDS
    assert 401 == await code_of(client, cookie)


async def test_an_unknown_cookie(client: httpx2.AsyncClient) -> None:
    """A forged, long or strange one is refused as an ended session is."""
    for value in ("x", "x" * 5000, "é", '"', ";;=", "a=b"):
        response = await client.get(URL, headers=[(b"Cookie", f"{COOKIE}={value}".encode())])
        assert 401 == response.status_code, value


async def test_a_login_code_signs_in_once(service: Service, client: httpx2.AsyncClient) -> None:
    """With its key, within five minutes."""
    key_id = await service.id_of(service.key)
    code, late = [await create_login_code(service.store, Actor(name="root"), key_id) for _ in range(2)]

    first, second = await sign_in(client, code=code), await sign_in(client, code=code)
    service.clock.time += CODE_SECONDS
    third = await sign_in(client, code=late)

    assert [204, 401, 401] == [each.status_code for each in (first, second, third)]
    assert "pipelet login" in second.json()["message"]
    assert 200 == await code_of(client, cookie_of(first))
    await service.store.api_keys.revoke(key_id, service.clock.now())
    for entry in await service.store.audit.list_entries(10):
        assert code not in str(entry)


@pytest.mark.parametrize(
    "body", [{}, {"key": "a", "code": "b"}, {"key": 1}, {"key": "a", "remember": "x"}, {"kee": "a"}, {"key": "a\0"}]
)
async def test_a_login_that_is_no_login(client: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    """It is refused with the reason, and counts as no failure."""
    for _ in range(MAX_FAILURES + 1):
        assert 422 == (await sign_in(client, **body)).status_code


async def test_failed_logins_are_limited(service: Service, client: httpx2.AsyncClient, log_lines: list[Any]) -> None:
    """Ten a minute from one address; then the response says how long to wait. A good login is never refused, and the
    log has one line."""
    wrong = service.key[:-1] + ("a" if service.key[-1] != "a" else "b")
    failed = [await sign_in(client, key=wrong) for _ in range(MAX_FAILURES + 2)]

    assert [401] * MAX_FAILURES + [429] * 2 == [each.status_code for each in failed]
    assert 55 <= int(failed[-1].headers["retry-after"]) <= 60
    assert failed[-1].headers["retry-after"] in failed[-1].json()["message"]
    assert [204] * 12 == [(await sign_in(client, key=service.key)).status_code for _ in range(12)]
    assert 1 == len([line for line in log_lines if line["event"] == "authentication.failed"])
    metrics = await client.get("/metrics", headers=bearer(service))
    assert 'pipelet_authentication_failures_total{reason="unknown"} 12.0' in metrics.text


async def test_a_mistyped_key_is_answered_as_an_unknown_one(service: Service, client: httpx2.AsyncClient) -> None:
    """The response does not tell whether the checksum was right."""
    unknown = (await sign_in(client, key="pk_" + "a" * 43)).json()
    mistyped = (await sign_in(client, key=service.key[:-1] + "!")).json()

    assert unknown == mistyped == (await sign_in(client, key="nonsense")).json()


async def test_an_admin_key_signs_in(service: Service, client: httpx2.AsyncClient) -> None:
    """The cookie has the scopes of its key, on every route of /api/v1."""
    admin = cookie_of(await sign_in(client, key=await service.new_key("root", scopes=ALL_SCOPES)))
    plain = cookie_of(await sign_in(client, key=service.key))

    statuses = [(await client.get(f"{HOST}/api/v1/operate/keys", headers=each)).status_code for each in (admin, plain)]

    assert [200, 403] == statuses
