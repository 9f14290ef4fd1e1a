"""What the limits of a user look like from outside."""

from typing import Any

import httpx2
import pytest

from pipelet.api.fal.description import schemas
from pipelet.domain.accounts.limits import Refusal, UserLimitChanges, UserLimits
from pipelet.domain.accounts.scopes import ALL_SCOPES
from tests.api.service import Service
from tests.support.images import data_uri, png
from tests.support.jobs import APP, EDIT

URL = f"/fal/queue/{APP}"
TODAY = "1970-01-12"
"""The day of the clock of the tests."""


async def limited(service: Service, **changes: Any) -> dict[str, str]:
    """Limit the user `bob`, and return the header with one of his keys."""
    await service.store.limits.change("bob", UserLimitChanges(**changes))  # type: ignore[typeddict-item]
    return {"Authorization": f"Bearer {await service.new_key('bob')}"}


async def post(service: Service, headers: dict[str, str], url: str = URL, **fields: Any) -> Any:
    return await service.client.post(url, json={"prompt": "a", **fields}, headers=headers)


async def refused(service: Service) -> dict[str, int]:
    """What was counted for bob, by reason."""
    await service.app.state.refusals.flush()
    found = await service.store.limits.refusals(TODAY, user="bob")
    assert all(Refusal(TODAY, "bob", refusal.reason) == refusal for refusal in found)
    return {refusal.reason: requests for refusal, requests in found.items()}


@pytest.mark.parametrize("path", [URL, f"{URL}/"])
async def test_who_submits_too_fast_is_told_when_to_come_again(service: Service, path: str) -> None:
    """A 429 with a type of its own, on the fast path and past it; the same request is taken after that time."""
    headers = await limited(service, max_submits_per_second=0.1, submit_burst=2)
    for _ in range(2):
        assert 200 == (await post(service, headers, path)).status_code

    response = await post(service, headers, path)

    assert (429, "10") == (response.status_code, response.headers["retry-after"])
    assert "submit_rate_limit" == response.headers["x-fal-error-type"] == response.json()["error_type"]
    assert "1" == response.headers["x-fal-needs-retry"]
    schemas.Refusal.model_validate_json(response.content, strict=True, extra="forbid")
    assert 2 == await service.queued()
    service.clock.time += 10
    assert 200 == (await post(service, headers, path)).status_code
    assert {"submit_rate": 1} == await refused(service)


async def test_a_full_store_is_final_until_requests_are_deleted(service: Service) -> None:
    """A 403, which no client retries, says what is used and how to free it; the user's other calls are served. No
    request is kept longer than retention until then."""
    headers = await limited(service, max_stored_bytes=9)
    request_id = (await post(service, headers)).json()["request_id"]
    await service.succeed(await service.claim(), data=b"png bytes")

    response = await post(service, headers)

    assert 403 == response.status_code
    assert "retry-after" not in response.headers
    assert ("storage_limit", "0") == (response.json()["error_type"], response.headers["x-fal-needs-retry"])
    for word in ("storage limit", "of at most", "DELETE /api/v1/requests/", "expire"):
        assert word in response.json()["message"]
    assert 200 == (await service.client.get(service.result_path(request_id), headers=headers)).status_code
    keep = await service.client.patch(f"/api/v1/requests/{request_id}", json={"keep": True}, headers=headers)
    assert (403, "storage_limit") == (keep.status_code, keep.json()["error_type"])
    await service.store.jobs.delete_finished(service.clock.now() + 1, service.clock.now() + 1, 10)
    assert 200 == (await post(service, headers)).status_code
    assert {"storage": 1} == await refused(service)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"max_stored_bytes": 1}, 403),
        ({"max_submits_per_second": 0.001, "submit_burst": 1}, 429),
        ({"max_queued_images": 1}, 429),
    ],
)
async def test_images_of_a_refused_edit_are_not_read(service: Service, changes: dict[str, Any], code: int) -> None:
    """The limits are looked at first, so that the refusal is said even where the images are wrong."""
    headers, url = await limited(service, **changes), f"/fal/queue/{EDIT}"
    assert 200 == (await post(service, headers, url, image_urls=[data_uri(png())])).status_code

    response = await post(service, headers, url, image_urls=["https://example.com/a.png"])

    assert code == response.status_code


async def test_a_priority_above_the_ceiling_names_it_and_the_command(service: Service) -> None:
    """The ceiling of the key or of the user, whichever is lower; without a priority it is the default."""
    headers = await limited(service, max_priority=5)
    key_id = await service.id_of(headers["Authorization"].partition(" ")[2])
    of_user = await post(service, headers, priority=6)
    await service.store.api_keys.update(key_id, {"max_priority": -2})
    service.clock.time += 3
    of_key = await post(service, headers, priority=-1)
    taken = await post(service, headers)

    assert [422, 422, 200] == [response.status_code for response in (of_user, of_key, taken)]
    assert "more than 5. The operator raises that with `pipelet keys limit --user bob --max-priority`" in of_user.text
    assert f"more than -2. The operator raises that with `pipelet keys limit {key_id} --max-priority`" in of_key.text
    job = await service.store.jobs.get(taken.json()["request_id"])
    assert job is not None
    assert -2 == job.priority
    assert {"priority": 2} == await refused(service)


async def test_a_batch_above_the_users_limit_never_fits(service: Service) -> None:
    """It is refused for good, and counted."""
    headers = await limited(service, max_queued_images=3)

    assert 422 == (await post(service, headers, batch_size=4)).status_code
    assert {"batch_size": 1} == await refused(service)


async def test_no_limit_of_its_user_applies_to_a_key_with_every_scope(service: Service) -> None:
    """It may lift them anyway."""
    await limited(service, max_queued_images=1, max_submits_per_second=0.001, submit_burst=1, max_priority=0)
    headers = {"Authorization": f"Bearer {await service.new_key('bob', scopes=ALL_SCOPES)}"}

    for _ in range(3):
        assert 200 == (await post(service, headers, batch_size=2, priority=9)).status_code
    assert 0 == (await service.store.limits.quota("bob")).queued_images


async def test_refusals_show_in_the_metrics_by_reason_only(service: Service) -> None:
    """Users are counted in the database: there may be more of them than a metric can have labels."""
    headers = await limited(service, max_queued_images=1)
    for _ in range(3):
        await post(service, headers)

    text = (await service.client.get("/metrics")).text

    assert 'pipelet_requests_rejected_total{reason="queued_images"} 2.0' in text
    assert "bob" not in text
    assert {"queued_images": 2} == await refused(service)
    await post(service, headers)
    assert {"queued_images": 3} == await refused(service)


async def test_a_user_sees_limits_and_use(service: Service) -> None:
    """With any key; a key with every scope has none."""
    headers = await limited(service, max_queued_images=3, max_submits_per_second=2.0, submit_burst=5)
    await post(service, headers, batch_size=2)
    admin = {"Authorization": f"Bearer {await service.new_key('bob', scopes=ALL_SCOPES)}"}

    found = [(await service.client.get("/api/v1/session", headers=each)).json() for each in (headers, admin)]

    assert (3, 2.0, 5) == tuple(
        found[0]["user_limits"][name] for name in ("max_queued_images", "max_submits_per_second", "submit_burst")
    )
    used = {"queued_images": 2, "running_images": 0, "stored_bytes": 0, "submits_left": 4}
    assert used == found[0]["used_by_user"]
    assert found[1]["user_limits"]["max_queued_images"] is None
    assert found[1]["used_by_user"]["submits_left"] is None


async def test_a_user_who_is_made_over_the_api_gets_the_defaults(service: Service) -> None:
    """As on the command line."""
    app = service.another_api(default_limits=UserLimits(max_queued_images=7))
    admin = {"Authorization": f"Bearer {await service.new_key('root', scopes=ALL_SCOPES)}"}
    transport = httpx2.ASGITransport(app=app)

    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        made = await client.post("/api/v1/operate/keys", json={"name": "eve"}, headers=admin)

    assert 201 == made.status_code, made.text
    assert 7 == (await service.store.limits.get("eve")).max_queued_images
