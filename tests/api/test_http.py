"""What holds for every route as HTTP has it: HEAD, headers that keep responses private, and the page at /docs."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx2
import pytest
from fastapi import FastAPI
from starlette.routing import Match

from pipelet.api.routing import Route
from tests.api.service import Service
from tests.api.streams import serving
from tests.support.jobs import APP

MONITORED = ["/", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json", "/.well-known/jwks.json"]


@pytest.mark.parametrize("key", ["valid", "none"])
async def test_head_responds_as_get(app: FastAPI, service: Service, key: str) -> None:
    """With the same status and headers, without a body."""
    ended, queued = await service.submit(), await service.submit()
    await service.succeed(await service.claim())
    paths = [*MONITORED, "/nothing", service.result_path("0" * 20)]
    for request_id in (ended, queued):
        path = service.result_path(request_id)
        paths += [path, f"{path}/", f"{path}/response", f"{path}/status", f"{path}/status?logs=1"]
    paths.append(f"{service.status_path(queued)}/stream")  # the last, because that of GET ends a little later
    headers = {"Authorization": f"Bearer {service.key}"} if key == "valid" else {}
    async with (
        serving(app) as (url, _),
        httpx2.AsyncClient(base_url=url, headers=headers, timeout=10) as client,
        httpx2.AsyncClient(base_url=url, headers=headers, timeout=10) as another,
    ):
        for path in paths:
            head = await client.head(path)
            assert 0 == app.state.dependencies.connection_limiter._all, "no stream was opened"
            async with another.stream("GET", path) as get:
                pass  # a stream is not read to its end
            assert (path, get.status_code, b"") == (path, head.status_code, head.content)
            assert _stable(get) == _stable(head), path


def _stable(response: httpx2.Response) -> dict[str, str]:
    names = {name: value for name, value in response.headers.items() if name not in ("date", "transfer-encoding")}
    if "metrics" in str(response.url):
        del names["content-length"]
    return names


async def test_every_get_has_a_head(app: FastAPI) -> None:
    """With a trailing slash as without, except the page's, and no other route has one."""
    for route in app.router.routes:
        if not isinstance(route, Route):  # others serve the document, and describe these in it
            continue
        path = route.path.replace("{", "").replace("}", "").replace(":path", "")
        for suffix in ("", "/") if not path.startswith(("/docs", "/ui")) and path != "/" else ("",):
            match, _ = route.matches({"type": "http", "method": "HEAD", "path": path + suffix, "headers": []})
            assert (match is Match.FULL) == ("GET" in (route.methods or ())), path


async def test_a_refused_method_names_the_others(service: Service) -> None:
    """As 405 has to."""
    assert "GET, HEAD" == (await service.client.put("/health/live")).headers["allow"]
    assert "POST" == (await service.client.head(f"/fal/queue/{APP}")).headers["allow"]


async def test_private_responses_are_not_stored(app: FastAPI, service: Service) -> None:
    """By no cache, and nothing is taken for another type; what may be kept says so itself."""
    request_id = await service.submit()
    await service.succeed(await service.claim())
    result = await service.client.get(service.result_path(request_id))
    responses = {
        "status": await service.client.get(service.status_path(request_id)),
        "result": result,
        "submit": await service.client.post(f"/fal/queue/{APP}", json={"prompt": "a"}),
        "refused": await service.client.post(f"/fal/queue/{APP}", json={}),
        "cancel": await service.client.put(f"{service.result_path(request_id)}/cancel"),
        "nothing": await service.client.get("/nothing"),
        "health": await service.client.get("/health/ready"),
        "docs": await service.client.get("/docs"),
    }
    kept = {
        "keys": await service.client.get("/.well-known/jwks.json"),
        "file": await service.client.get(result.json()["results"][0]),
        "page": await service.client.get("/static-offline-docs/swagger-ui.css"),
    }

    assert {"nosniff"} == {each.headers["x-content-type-options"] for each in [*responses.values(), *kept.values()]}
    assert dict.fromkeys(responses, "no-store") == {
        name: each.headers["cache-control"] for name, each in responses.items()
    }
    assert ["public, max-age=3600", "private", None] == [each.headers.get("cache-control") for each in kept.values()]
    assert "frame-ancestors 'none'" == responses["docs"].headers["content-security-policy"]


async def test_a_file_that_the_client_has(service: Service) -> None:
    """It is not sent again; the URL has to be good all the same."""
    request_id = await service.submit()
    await service.succeed(await service.claim())
    url = (await service.client.get(service.result_path(request_id))).json()["results"][0]
    etag = (await service.client.get(url)).headers["etag"]

    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = await service.client.get(url, headers={"If-None-Match": sent, "Range": "bytes=0-1"})
        assert (304, b"", etag) == (response.status_code, response.content, response.headers["etag"])
        assert "private" == response.headers["cache-control"]
    assert 304 == (await service.client.head(url, headers={"If-None-Match": etag})).status_code
    assert 200 == (await service.client.get(url, headers={"If-None-Match": '"other"'})).status_code
    assert 403 == (await service.client.get(f"{url}0", headers={"If-None-Match": etag})).status_code


class Links(HTMLParser):
    """Of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


async def test_docs_below_a_prefix(service: Service) -> None:
    """Behind a proxy that takes the prefix away, the page finds its parts, and its examples find the service."""
    transport = httpx2.ASGITransport(service.another_api(public_url="http://public.test/img/"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://public.test") as client:
        page = (await client.get("/docs")).text
        seen = [urljoin("http://public.test/img/docs", link) for link in [*Links(page).found, "openapi.json"]]
        responses = [await client.get(url.replace("/img/", "/")) for url in seen]
        missing = await client.get("/nothing")
        root = (await client.get("/")).json()

    assert len(seen) >= 4
    assert "url: 'openapi.json'" in page
    assert all(url.startswith("http://public.test/img/") for url in seen)
    assert {200} == {response.status_code for response in responses}
    assert [{"url": "http://public.test/img"}] == responses[-1].json()["servers"]
    assert ("/img/docs", "/img/health/ready") == (root["docs"], root["health"])
    assert "/img/docs" in missing.json()["detail"]
