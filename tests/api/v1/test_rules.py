"""What holds for every route of `/api/v1`: keys, scopes, errors, cursors, and no CORS."""

import re
from typing import Any

import pytest
from pydantic import Field

from pipelet.api.errors import Problem
from pipelet.api.v1.lists import decode_cursor, encode_cursor
from pipelet.api.v1.reading import validate
from pipelet.api.v1.routes import ROUTES
from pipelet.api.v1.routing import Route
from pipelet.api.v1.schemas import Input, PageQuery, Text, Time
from tests.api.service import Service

ALL = [(route.method, re.sub(r"\{\w+(:path)?\}", "0" * 20, route.path)) for route in ROUTES]
WITH_KEY = [each for each, route in zip(ALL, ROUTES, strict=True) if isinstance(route, Route)]


@pytest.mark.parametrize(("method", "path"), WITH_KEY)
@pytest.mark.asyncio(loop_scope="module")
async def test_every_route_needs_a_key(shared_service: Service, method: str, path: str) -> None:
    """Without one the response is 401, in the shape of the queue routes."""
    response = await shared_service.client.request(method, path, headers={"Authorization": "Bearer nothing"})

    assert 401 == response.status_code
    assert "Bearer" == response.headers["www-authenticate"]
    assert {"detail", "message", "error_type"} == response.json().keys()


@pytest.mark.parametrize(("method", "path"), ALL)
@pytest.mark.asyncio(loop_scope="module")
async def test_no_route_has_cors(shared_service: Service, method: str, path: str) -> None:
    """A page of another origin gets no headers that let it read the response, and nothing is stored by caches."""
    origin = {"Origin": "https://evil.example"}
    # A stream would not end, and has the same headers without its body.
    response = await shared_service.client.request("HEAD" if path.endswith("/stream") else method, path, headers=origin)
    preflight = await shared_service.client.options(path, headers=origin | {"Access-Control-Request-Method": method})

    assert not [name for each in (response, preflight) for name in each.headers if name.startswith("access-control")]
    assert 405 == preflight.status_code
    assert "no-store" == response.headers["cache-control"]


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "ä", "é" * 9, "bnVsbA"),
        encode_cursor("others", 1.0, "a"),
        encode_cursor("requests", 1, "a"),
        encode_cursor("requests", float("nan"), "a"),
        encode_cursor("requests", 1.0),
        encode_cursor("requests", 1.0, "\0"),
    ],
)
def test_a_forged_cursor_is_refused(cursor: str) -> None:
    """It gets 422 and a hint, whatever it is; that of another list, too."""
    with pytest.raises(Problem, match="not a cursor of this list") as refused:
        decode_cursor(cursor, "requests", float, str)

    assert 422 == refused.value.status


def test_a_cursor_returns_its_place() -> None:
    """Numbers keep their kinds."""
    assert (1.5, "abc", -3) == decode_cursor(encode_cursor("x", 1.5, "abc", -3), "x", float, str, int)
    assert decode_cursor(None, "x", float) is None


class Inner(Input):
    state: Text | None = None


class Body(Input):
    ids: list[Text] | None = Field(None, max_length=2)
    filter: Inner | None = None
    since: Time | None = None


@pytest.mark.parametrize(
    ("sent", "loc", "message"),
    [
        ({"id": 1}, ["body", "id"], "Did you mean 'ids'?"),
        ({"filter": {"sate": "x"}}, ["body", "filter", "sate"], "Did you mean 'state'?"),
        ({"ids": "x"}, ["body", "ids"], "list"),
        ({"ids": ["a", "b", "c"]}, ["body", "ids"], "at most 2"),
        ({"filter": {"state": "a\0"}}, ["body", "filter", "state"], "U\\+0000"),
        ({"since": "yesterday"}, ["body", "since"], "2026-11-30T09:00:00Z"),
        ({"since": -1}, ["body", "since"], "2026-11-30T09:00:00Z"),
        ({"since": "9" * 400}, ["body", "since"], "2026-11-30T09:00:00Z"),
        ({"since": True}, ["body", "since"], "2026-11-30T09:00:00Z"),
    ],
)
def test_invalid_input_names_the_field(sent: dict[str, Any], loc: list[str], message: str) -> None:
    """An unknown name comes with the nearest known one, also inside of another field."""
    with pytest.raises(Problem, match=message) as refused:
        validate(Body, sent, "body")

    assert 422 == refused.value.status
    assert isinstance(refused.value.detail, list)
    assert loc == refused.value.detail[0]["loc"]


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ("1970-01-02", 86400.0),
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T01:00:01+01:00", 1.0),
        ("1970-01-01T01:00:01 01:00", 1.0),  # a plus that was not percent-encoded
        ("12.5", 12.5),
        (12, 12.0),
    ],
)
def test_a_time_has_several_forms(sent: object, seconds: float) -> None:
    """A time without a zone is UTC."""
    assert seconds == validate(Body, {"since": sent}, "body").since


def test_a_page_has_bounds() -> None:
    """The limit is 50 if none is given, and 100 at most."""
    assert 50 == validate(PageQuery, {}, "query").limit
    assert 100 == validate(PageQuery, {"limit": "100"}, "query").limit
    for limit in ("0", "101", "x", "1.5", "9" * 400):
        with pytest.raises(Problem, match="limit"):
            validate(PageQuery, {"limit": limit}, "query")
