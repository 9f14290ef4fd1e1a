"""Who may do what."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipelet.domain.accounts.scopes import Scope
from tests.api.service import Service
from tests.support.jobs import APP

URL = f"/fal/queue/{APP}"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Key", "KEY"])
async def test_both_schemes(service: Service, scheme: str) -> None:
    """The seed's scheme and fal's open the same door."""
    headers = {"Authorization": f"{scheme} {service.key}"}
    response = await service.client.post(URL, json={"prompt": "a"}, headers=headers)

    assert response.status_code == 200


@pytest.mark.parametrize("id_", ["", "any", "any:other"])
async def test_an_id_before_the_key_is_passed_over(service: Service, id_: str) -> None:
    """fal's keys have an id before the secret, and its SDK sends no others: whatever stands there is not looked at."""
    headers = {"Authorization": f"Key {id_}:{service.key}"}

    assert 200 == (await service.client.post(URL, json={"prompt": "a"}, headers=headers)).status_code


BAD: dict[str, list[bytes]] = {
    "none": [],
    "empty": [b""],
    "another scheme": [b"Basic cGs6"],
    "no scheme": [b"pk_" + b"a" * 43],
    "no key": [b"Bearer"],
    "a blank key": [b"Bearer  "],
    "a short key": [b"Bearer pk_abc"],
    "an unknown key": [b"Bearer pk_" + b"a" * 43],
    "fal's key form": [b"Key id:secret"],
    "an id after it": [b"Key pk_" + b"a" * 43 + b":id"],
    "an id in the other scheme": [b"Bearer id:pk_" + b"a" * 43],
    "a long one": [b"Bearer " + b"a" * 50_000],
    "not ASCII": ["Bearer schlüssel".encode()],
    "two keys in one": [b"Bearer pk_" + b"a" * 43 + b", Bearer pk_" + b"a" * 43],
}


@pytest.mark.parametrize("values", BAD.values(), ids=BAD)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", URL), ("GET", f"{URL}/requests/{'a' * 20}/status"), ("POST", "/fal/queue/no-such-app")],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_no_entry(
    shared_service: Service, values: list[bytes], method: str, path: str, log_lines: list[Any]
) -> None:
    """Without a good key every route responds with 401 in the common shape, and logs no error."""
    shared_service.client.headers.pop("Authorization", None)
    headers = [(b"Authorization", value) for value in values]
    response = await shared_service.client.request(method, path, content=b'{"prompt": "a"}', headers=headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json().keys() == {"detail", "message"}
    assert await shared_service.queued() == 0
    assert not [line for line in log_lines if line["log_level"] == "error"]


async def test_two_authorization_headers(service: Service) -> None:
    """Two Authorization headers are refused, also when each would do."""
    value = f"Bearer {service.key}".encode()
    del service.client.headers["Authorization"]
    response = await service.client.get("/fal/queue/x/requests/y", headers=[(b"Authorization", value)] * 2)

    assert response.status_code == 401
    assert "more than one" in response.json()["message"]


async def test_a_key_without_the_scope_generate(service: Service) -> None:
    """It may not make requests, nor see or stop those of its user, nor upload: 403 names the scope."""
    request_id = await service.submit()
    observer = {"Authorization": f"Bearer {await service.new_key('ada', scopes=frozenset({Scope.OBSERVE}))}"}
    request = service.result_path(request_id)
    calls = [("POST", path) for path in (URL, URL.replace("queue", "run"), "/fal/fal-ai/z-image/turbo")]
    calls += [("POST", f"/fal/rest/storage/{path}") for path in ("upload/initiate", "auth/token")]
    calls += [("GET", f"{request}{path}") for path in ("", "/status", "/status?wait=1", "/status/stream")]
    found = [
        await service.client.request(method, path, json={"prompt": "a"}, headers=observer)
        for method, path in [*calls, ("PUT", f"{request}/cancel")]
    ]

    assert [(403, "missing_scope")] * len(found) == [(each.status_code, each.json()["error_type"]) for each in found]
    assert "`generate`" in found[0].json()["message"]
    assert 1 == await service.queued()


async def test_revoked_key(service: Service) -> None:
    """A revoked key opens nothing two seconds later, also if it was used a moment before."""
    await service.submit()
    key = (await service.store.api_keys.list_keys())[0]
    await service.store.api_keys.revoke(key.id, service.clock.now())
    service.clock.time += 2

    response = await service.client.post(URL, json={"prompt": "a"})

    assert response.status_code == 401
    assert "revoked" in response.json()["message"]


async def test_a_key_that_is_revoked_while_the_body_arrives(service: Service) -> None:
    """A slow body does not keep a key alive: nothing is queued."""

    async def body() -> AsyncIterator[bytes]:
        yield b'{"prompt": '
        await service.store.api_keys.revoke(await service.id_of(service.key), service.clock.now())
        service.clock.time += 2
        yield b'"a"}'

    response = await service.client.post(URL, content=body())

    assert 401 == response.status_code
    assert 0 == await service.queued()


async def test_expired_key(service: Service) -> None:
    """A key expires at its second, however lately it was looked up."""
    secret = await service.new_key("eve", expires_at=service.clock.now() + 1)
    headers = {"Authorization": f"Bearer {secret}"}
    before = await service.client.post(URL, json={"prompt": "a"}, headers=headers)
    service.clock.time += 1
    after = await service.client.post(URL, json={"prompt": "a"}, headers=headers)

    assert (before.status_code, after.status_code) == (200, 401)


async def test_new_key_works_at_once(service: Service) -> None:
    """A key that was refused before it existed works as soon as it does."""
    secret = "pk_" + "b" * 43
    headers = {"Authorization": f"Bearer {secret}"}
    before = await service.client.post(URL, json={"prompt": "a"}, headers=headers)
    await service.new_key("bob", secret=secret)
    after = await service.client.post(URL, json={"prompt": "a"}, headers=headers)

    assert (before.status_code, after.status_code) == (401, 200)


@pytest.mark.parametrize(("method", "tail"), [("GET", "/status"), ("GET", ""), ("PUT", "/cancel")])
async def test_others_requests(service: Service, method: str, tail: str) -> None:
    """Another user's request and an unknown one have equal responses, byte for byte and header for header."""
    theirs, unknown = await service.submit(), "a" * 20
    headers = {"Authorization": f"Bearer {await service.new_key('bob')}"}

    responses = [
        await service.client.request(method, service.result_path(request_id) + tail, headers=headers)
        for request_id in (theirs, unknown)
    ]

    assert responses[0].status_code == 404
    assert responses[0].json()["status"] == "NOT_FOUND"
    assert responses[0].content == responses[1].content
    assert responses[0].headers == responses[1].headers
    assert await service.queued() == 1


async def test_two_keys_of_one_user(service: Service) -> None:
    """A user's keys open the same requests."""
    request_id = await service.submit()
    headers = {"Authorization": f"Key {await service.new_key('ada')}"}

    assert (await service.client.get(service.status_path(request_id), headers=headers)).status_code == 202


async def test_priority_ceiling(service: Service) -> None:
    """A priority above the key's ceiling is refused, together with every other error."""
    headers = {"Authorization": f"Bearer {await service.new_key('bob', max_priority=3)}"}

    at = await service.client.post(URL, json={"prompt": "a", "priority": "3"}, headers=headers)
    above = await service.client.post(URL, json={"priority": 4}, headers=headers)
    far_above = await service.client.post(URL, json={"prompt": "a", "priority": 2**40}, headers=headers)

    assert at.status_code == 200
    assert [(fault["loc"], fault["type"]) for fault in above.json()["detail"]] == [
        (["body", "prompt"], "missing"),
        (["body", "priority"], "priority_ceiling"),
    ]
    assert "priority_ceiling" == far_above.json()["detail"][0]["type"], "not the bounds of any priority"


async def test_ceiling_below_the_default(service: Service) -> None:
    """Where the ceiling is below zero, it is the default."""
    headers = {"Authorization": f"Bearer {await service.new_key('bob', max_priority=-7)}"}
    response = await service.client.post(URL, json={"prompt": "a"}, headers=headers)

    job = await service.store.jobs.get(response.json()["request_id"])
    assert job is not None
    assert job.priority == -7
