"""Keys over the API: as the command line does it, for keys with the scope `keys`."""

from typing import Any

import httpx2
import pytest

from pipelet.domain.accounts.api_keys import hash_secret
from pipelet.domain.accounts.audit import Actor
from pipelet.domain.accounts.scopes import ALL_SCOPES, Scope
from pipelet.services.accounts.keys import revoke_key
from tests.api.service import Service
from tests.support.jobs import APP

KEYS = "/api/v1/operate/keys"


@pytest.fixture
async def admin(service: Service) -> httpx2.AsyncClient:
    """A client with every scope, of the user `root`."""
    service.client.headers["Authorization"] = f"Bearer {await service.new_key('root', scopes=ALL_SCOPES)}"
    return service.client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def new(admin: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await admin.post(KEYS, json=body)
    assert 201 == response.status_code, response.text
    return dict(response.json())


async def trail(service: Service) -> list[tuple[str, str]]:
    """What the audit trail says was done to what, oldest first."""
    return [(each.action, each.target) for each in reversed(await service.store.audit.list_entries(100))]


async def test_a_new_key_works_at_once(service: Service, admin: httpx2.AsyncClient) -> None:
    """Its secret is in that response alone; what was not given has its default."""
    made = await new(admin, name="laptop")
    limited = await new(
        admin, name="trial", user="laptop", scopes=["observe"], max_queued_images=3, expires_at="2999-01-01"
    )

    shown = (await admin.get(f"{KEYS}/{made['id']}")).json()
    assert made == shown | {"key": made["key"]}
    assert ("laptop", "valid", ["generate"], None) == (made["user"], made["state"], made["scopes"], made["expires_at"])
    assert (["observe"], 3, "2999-01-01T00:00:00.000Z") == (
        limited["scopes"],
        limited["max_queued_images"],
        limited["expires_at"],
    )
    assert 200 == (await admin.get("/api/v1/session", headers=bearer(made["key"]))).status_code
    assert made["key"] not in (await admin.get(KEYS)).text


async def test_a_key_for_an_existing_user_is_made_on_purpose(admin: httpx2.AsyncClient) -> None:
    """Without `user`, the name of an existing user is refused: the key would read that user's requests."""
    response = await admin.post(KEYS, json={"name": "ada"})

    assert (409, "not_possible") == (response.status_code, response.json()["error_type"])
    await new(admin, name="ada", user="ada")


async def test_keys_are_listed_in_pages(service: Service, admin: httpx2.AsyncClient) -> None:
    """Newest first."""
    for number in range(5):
        service.clock.time += 1
        await new(admin, name=f"k{number}")
    names: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await admin.get(KEYS, params={"limit": "2"} | after)).json()
        names += [each["name"] for each in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}

    assert ["k4", "k3", "k2", "k1", "k0", "test", "test"] == names


async def test_a_change_names_only_what_it_changes(service: Service, admin: httpx2.AsyncClient) -> None:
    """The rest stays, null lifts a limit, and a running service follows within two seconds."""
    made = await new(admin, name="small", max_queued_images=1, max_priority=3)
    before = await submit(admin, made["key"], batch_size=2)

    lifted = await admin.patch(f"{KEYS}/{made['id']}", json={"max_queued_images": None, "scopes": ["generate", "keys"]})
    service.clock.time += 2
    after = await submit(admin, made["key"], batch_size=2)

    assert (422, 200) == (before, after)
    assert (None, 3, ["generate", "keys"], "small") == tuple(
        lifted.json()[name] for name in ("max_queued_images", "max_priority", "scopes", "name")
    )
    [entry] = [each for each in await service.store.audit.list_entries(9) if each.action == "keys.change"]
    assert {"max_queued_images": 1, "scopes": "generate"} == entry.before
    assert {"max_queued_images": None, "scopes": "generate keys"} == entry.after
    assert 200 == (await admin.patch(f"{KEYS}/{made['id']}", json={})).status_code


async def test_rotation(service: Service, admin: httpx2.AsyncClient) -> None:
    """The new secret works at once; the old one until the overlap ends, and within two seconds no longer."""
    made = await new(admin, name="ci")
    assert 200 == await submit(admin, made["key"])

    rotated = (await admin.post(f"{KEYS}/{made['id']}/rotate", json={"overlap_hours": 1})).json()

    assert (made["id"], made["user"]) == (rotated["id"], rotated["user"])
    service.clock.time += 3599
    assert [200, 200] == [await submit(admin, secret) for secret in (made["key"], rotated["key"])]
    service.clock.time += 3
    assert [401, 200] == [await submit(admin, secret) for secret in (made["key"], rotated["key"])]
    at_once = (await admin.post(f"{KEYS}/{made['id']}/rotate", json={"overlap_hours": 0})).json()
    service.clock.time += 2
    assert [401, 200] == [await submit(admin, secret) for secret in (rotated["key"], at_once["key"])]
    await admin.delete(f"{KEYS}/{made['id']}")
    assert 409 == (await admin.post(f"{KEYS}/{made['id']}/rotate", json={})).status_code


async def test_a_key_is_found_by_its_text(service: Service, admin: httpx2.AsyncClient) -> None:
    """Also by a secret that was rotated and still works; what is no key of ours is told from a mistyped one."""
    made = await new(admin, name="leaked")
    await admin.post(f"{KEYS}/{made['id']}/rotate", json={})

    async def find(text: str) -> httpx2.Response:
        return await admin.post(f"{KEYS}/find", json={"key": text})

    assert made["id"] == (await find(f" {made['key']}\n")).json()["id"]
    mistyped = await find(made["key"][:-1] + ("x" if made["key"][-1] != "x" else "y"))
    foreign = await find("ghp_" + "a" * 36)
    assert [404, 404] == [mistyped.status_code, foreign.status_code]
    assert "checksum" in mistyped.json()["message"]
    assert "not a key of this service" in foreign.json()["message"]


async def test_a_revoked_key_may_lose_its_requests(service: Service, admin: httpx2.AsyncClient) -> None:
    """With `cancel`, those that wait are cancelled; the key stays in the list, and a second call changes nothing."""
    made = await new(admin, name="flood")
    for _ in range(3):
        await submit(admin, made["key"])

    root = Actor(name="root")
    assert 3 == await revoke_key(service.store, root, made["id"], cancel=True, settle_seconds=0)
    again = await admin.delete(f"{KEYS}/{made['id']}")

    assert {"id": made["id"], "cancelled": 0} == again.json()
    assert 0 == await service.queued()
    assert "revoked" == (await admin.get(f"{KEYS}/{made['id']}")).json()["state"]
    assert ["keys.create", "keys.revoke", "requests.cancel"] == [action for action, _ in await trail(service)]


async def test_the_audit_trail_names_key_and_address(service: Service, admin: httpx2.AsyncClient) -> None:
    """Every act over the API leaves who did it, from where, and neither secrets nor hashes."""
    made = await new(admin, name="x")
    rotated = (await admin.post(f"{KEYS}/{made['id']}/rotate", json={})).json()
    await admin.patch(f"{KEYS}/{made['id']}", json={"max_priority": 1})

    page = await admin.get("/api/v1/operate/audit", params={"limit": "2"})
    rest = await admin.get("/api/v1/operate/audit", params={"after": page.json()["next"]})

    items = page.json()["items"] + rest.json()["items"]
    assert ["keys.change", "keys.rotate", "keys.create"] == [each["action"] for each in items]
    assert {("root", "127.0.0.1", made["id"])} == {(each["user"], each["address"], each["target"]) for each in items}
    for secret in (made["key"], rotated["key"]):
        assert secret not in page.text + rest.text
        assert hash_secret(secret).hex() not in page.text + rest.text


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.KEYS])
async def test_other_scopes_do_not_manage_keys(service: Service, scope: Scope) -> None:
    """The response names the scope that is missing, whatever the id."""
    service.client.headers |= bearer(await service.new_key("eve", scopes=frozenset({scope})))
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("GET", "/x"),
        ("PATCH", "/x"),
        ("DELETE", "/x"),
        ("POST", "/find"),
    ):
        response = await service.client.request(method, KEYS + path)
        assert (403, "missing_scope") == (response.status_code, response.json()["error_type"])
        assert "`keys`" in response.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": " "},
        {"name": "a\nb"},
        {"name": "x" * 201},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["everything"]},
        {"name": "x", "max_queued_images": 0},
        {"name": "x", "max_priority": 2**40},
        {"name": "x", "max_running_images": 1.5},
        {"name": "x", "expires_at": "soon"},
        {"name": "x", "expires_at": 1},
        {"nam": "x"},
    ],
)
async def test_bad_input_makes_no_key(service: Service, admin: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    """It is refused with the place of the error."""
    response = await admin.post(KEYS, json=body)

    assert 422 == response.status_code, response.text
    assert "body" == response.json()["detail"][0]["loc"][0]
    assert 2 == len(await service.store.api_keys.list_keys())


@pytest.mark.parametrize(
    "body", [{"name": None}, {"scopes": None}, {"scopes": []}, {"user": "x"}, {"max_priority": "x"}]
)
async def test_bad_changes_change_nothing(service: Service, admin: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    """A name and scopes cannot be lifted; the user of a key never changes."""
    key_id = await service.id_of(service.key)

    assert 422 == (await admin.patch(f"{KEYS}/{key_id}", json=body)).status_code
    assert [] == await trail(service)


async def test_unknown_ids(admin: httpx2.AsyncClient) -> None:
    """404, also for ids that no key can have."""
    for key_id in ("000000000000", "ä", "%00", "x" * 5000):
        for method, tail in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
            response = await admin.request(
                method, f"{KEYS}/{key_id}{tail}", json={} if method in ("PATCH", "POST") else None
            )
            assert 404 == response.status_code, (method, key_id)


async def submit(client: httpx2.AsyncClient, secret: str, **fields: Any) -> int:
    """The status of a submit with a key."""
    response = await client.post(f"/fal/queue/{APP}", json={"prompt": "a", **fields}, headers=bearer(secret))
    return response.status_code


async def test_limits_of_a_user_are_changed_by_name(service: Service, admin: httpx2.AsyncClient) -> None:
    """What is in the body, and nothing else; null lifts a limit. They apply to all keys of the user, and the act is in
    the audit trail, with what was before."""
    made = await new(admin, name="ada/laptop", user="ada b/c")
    path = "/api/v1/operate/users/ada%20b%2Fc/limits"
    limits = {"max_queued_images": 1, "max_submits_per_second": 0.5, "max_stored_bytes": 10**12}

    changed = await admin.patch(path, json=limits)
    again = await admin.patch(path, json={"max_stored_bytes": None})

    assert (200, 200) == (changed.status_code, again.status_code), changed.text
    assert limits.items() <= changed.json()["limits"].items()
    assert changed.json()["limits"] | {"max_stored_bytes": None} == again.json()["limits"]
    assert again.json() == (await admin.get(path)).json()
    assert 200 == (await admin.patch(path, json={})).status_code
    assert ("ada b/c", {"queued_images": 0, "running_images": 0, "stored_bytes": 0, "submits_left": 100}) == (
        again.json()["user"],
        again.json()["used"],
    )
    submitted = [
        await admin.post(f"/fal/queue/{APP}", json={"prompt": "a"}, headers=bearer(made["key"])) for _ in range(2)
    ]
    assert [200, 429] == [each.status_code for each in submitted]
    assert [("limits.change", "ada b/c")] * 2 == (await trail(service))[-2:]
    [last] = await service.store.audit.list_entries(1)
    assert ({"max_stored_bytes": 10**12}, {"max_stored_bytes": None}) == (last.before, last.after)


@pytest.mark.parametrize(
    "body",
    [
        {"max_queued_images": 0},
        {"max_queued_images": True},
        {"max_submits_per_second": 0},
        {"max_submits_per_second": "fast"},
        {"submit_burst": None},
        {"submit_burst": 0},
        {"max_stored_bytes": -1},
        {"max_stored_bytes": 2**63},
        {"max_webhooks_per_minute": 0.5},
        {"max_stored_gib": 1},
    ],
)
async def test_wrong_limits_of_a_user(service: Service, admin: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    """Each is refused at its field, and nothing is changed."""
    response = await admin.patch("/api/v1/operate/users/root/limits", json=body)

    assert 422 == response.status_code
    assert ["body", *body] == response.json()["detail"][0]["loc"]
    assert [] == await trail(service)


async def test_limits_of_an_unknown_user(admin: httpx2.AsyncClient) -> None:
    """A 404, and no limits are stored for a misspelt name."""
    for method in ("GET", "PATCH"):
        response = await admin.request(method, "/api/v1/operate/users/nemo/limits", json={"max_queued_images": 1})
        assert (404, "not_found") == (response.status_code, response.json()["error_type"])
