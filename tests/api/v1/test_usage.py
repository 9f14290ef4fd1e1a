"""`GET /api/v1/usage`: whose figures a key shows, and in which form."""

import csv
import io
from typing import Any

import pytest

from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.jobs.outcome import FailureKind
from tests.api.service import Service

PATH = "/api/v1/usage"
BOTH = frozenset({Scope.GENERATE, Scope.OBSERVE})


def as_key(secret: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", **more}


@pytest.fixture
async def used(service: Service) -> Service:
    """`ada` made two images of 0.25 megapixels, `=bob` one request that failed."""
    await service.submit(batch_size=2, width=500, height=500)
    await service.succeed(await service.claim())
    bob = await service.new_key("=bob")
    await service.client.post("/fal/queue/z-image-text-to-image", json={"prompt": "a star"}, headers=as_key(bob))
    await service.fail(await service.claim(), FailureKind.INTERNAL, "The pipeline raised.")
    return service


async def test_users_see_their_own(used: Service) -> None:
    """Sums of the last 30 days, by day and app."""
    found = (await used.client.get(PATH)).json()

    figures = {"requests": 1, "images": 2, "megapixels": 0.5, "device_seconds": 1.5, "failed": 0, "cancelled": 0}
    assert [{"day": "1970-01-12", "app": "z-image-text-to-image", **figures}] == found["items"]
    assert figures == found["total"]
    assert ("1969-12-14", "1970-01-12", ["day", "app"]) == (found["from"], found["to"], found["by"])


@pytest.mark.parametrize("scopes", [BOTH, frozenset({Scope.OBSERVE})])
async def test_observers_see_all(used: Service, scopes: frozenset[Scope]) -> None:
    """A key with `observe` shows every user, or one of them."""
    key = as_key(await used.new_key("ops", scopes=scopes))
    every = (await used.client.get(PATH, params={"by": "user,key"}, headers=key)).json()
    one = (await used.client.get(PATH, params={"by": "", "user": "ada"}, headers=key)).json()

    assert [("=bob", "test", 1), ("ada", "test", 0)] == [(e["user"], e["key"], e["failed"]) for e in every["items"]]
    assert 2 == every["total"]["requests"]
    assert [2] == [each["images"] for each in one["items"]]


async def test_another_user_is_not_shown(used: Service) -> None:
    """Without `observe` the figures are the caller's, and the name of another user gets 403, known or not."""
    for user in ("=bob", "unknown"):
        response = await used.client.get(PATH, params={"user": user})
        assert (403, "missing_scope") == (response.status_code, response.json()["error_type"])
    own = (await used.client.get(PATH, params={"user": "ada", "by": "user"})).json()

    assert ["ada"] == [each["user"] for each in own["items"]]


async def test_csv_is_safe_to_open(used: Service) -> None:
    """A name that begins like a formula is shown by a spreadsheet, not computed."""
    key = as_key(await used.new_key("ops", scopes=BOTH), Accept="text/csv;q=0.9, */*;q=0.1")
    response = await used.client.get(PATH, params={"by": "user"}, headers=key)

    assert "text/csv; charset=utf-8" == response.headers["content-type"]
    assert "attachment" in response.headers["content-disposition"]
    [titles, first, second] = csv.reader(io.StringIO(response.text))
    assert ["user", "requests", "images", "megapixels", "device_seconds", "failed", "cancelled"] == titles
    assert ["'=bob", "1", "0", "0.0", "0.0", "1", "0"] == first
    assert ["ada", "1", "2", "0.5", "1.5", "0", "0"] == second


async def test_days_to_come_are_empty(used: Service) -> None:
    """A report that begins after today ends with its first day."""
    found = (await used.client.get(PATH, params={"from": "2000-01-01"})).json()

    assert ("2000-01-01", "2000-01-01", []) == (found["from"], found["to"], found["items"])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"from": "1970-01-13", "to": "1970-01-12"}, "Exchange them"),
        ({"from": "yesterday"}, "from"),
        ({"from": "9999999999999999"}, "from"),
        ({"by": "hour"}, "day, user, key, app"),
        ({"by": "day,"}, "day, user, key, app"),
        ({"form": "1970-01-01"}, "Did you mean 'from'"),
        ({"user": "a\0"}, "U+0000"),
    ],
)
async def test_what_cannot_be_is_refused(used: Service, query: dict[str, Any], message: str) -> None:
    """422 with the reason."""
    response = await used.client.get(PATH, params=query)

    assert 422 == response.status_code
    assert message in response.json()["message"]
