"""What a call by cookie must show, and what the cookie does not open."""

import re

import httpx2
import pytest
from starlette.routing import Route

from tests.api.service import Service
from tests.api.v1.session.browser import HOST, PAGE, URL, bearer, code_of
from tests.support.images import png
from tests.support.jobs import APP

UPLOADS = f"{HOST}/api/v1/uploads"
OLD_BROWSER = {"Content-Type": "application/json", "X-Pipelet": "1", "Origin": HOST}


async def test_the_cookie_opens_nothing_else(
    service: Service, client: httpx2.AsyncClient, cookie: dict[str, str]
) -> None:
    """Every route outside of /api/v1 that needs a key refuses it as if it were not there."""
    open_to_all = {"/", "/health/live", "/health/ready", "/docs", "/openapi.json", "/.well-known/jwks.json"}
    tried = set()
    for route in service.app.routes:
        path = getattr(route, "path", "")
        if not isinstance(route, Route) or path.startswith("/api/v1/") or path in open_to_all:
            continue
        filled = re.sub(r"\{app\}", APP, re.sub(r"\{(request_id|rest:path)\}", "0" * 20, path))
        for method in route.methods or {"GET", "POST"}:
            response = await client.request(
                method,
                f"{HOST}{filled}",
                headers=PAGE | cookie,
                content=b'{"prompt": "a"}' if method == "POST" else b"",
            )
            tried.add(path)
            assert "set-cookie" not in response.headers
            if path.startswith("/fal/cdn/"):  # signed tickets open these
                assert response.status_code in (401, 403, 413), (method, path)
            elif path == "/v1/{rest:path}":  # what is not there needs no key
                assert response.status_code == 404, (method, path)
            elif not path.startswith(("/files/", "/docs", "/static", "/redoc", "/openapi", "/ui")):
                assert 401 == response.status_code or path.startswith("/fal/proxy"), (method, path)

    assert {f"/fal/queue/{APP}", f"/fal/run/{APP}", "/metrics"} <= tried
    assert 0 == await service.queued()
    assert 200 == await code_of(client, cookie)


PROXIED = {"x-fal-target-url": f"https://queue.fal.run/queue/{APP}"}


async def test_the_proxy_does_not_take_the_cookie(client: httpx2.AsyncClient, cookie: dict[str, str]) -> None:
    """What it passes on has no key either."""
    headers = PAGE | cookie | PROXIED

    assert 401 == (await client.post(f"{HOST}/fal/proxy", json={"prompt": "a"}, headers=headers)).status_code


WITHOUT = [
    ({"X-Pipelet": ""}, 403),
    ({"X-Pipelet": "0"}, 403),
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "none"}, 403),
]


@pytest.mark.parametrize(("change", "status"), WITHOUT)
async def test_a_page_of_another_origin_changes_nothing(
    service: Service, client: httpx2.AsyncClient, cookie: dict[str, str], change: dict[str, str], status: int
) -> None:
    """Neither a login nor a call by cookie is accepted without every sign of our own page, and each is named."""
    login = await client.post(URL, content=b'{"key": "%s"}' % service.key.encode(), headers=PAGE | change)
    logout = await client.delete(URL, headers=PAGE | cookie | change)

    assert [status, status] == [login.status_code, logout.status_code]
    assert {"detail", "message", "error_type"} == logout.json().keys()
    assert "set-cookie" not in login.headers
    assert 200 == await code_of(client, cookie)


@pytest.mark.parametrize(
    ("origin", "status"),
    [(HOST, 204), ("http://localhost:8000", 403), ("http://127.0.0.1:9000", 403), ("null", 403), ("", 403)],
)
async def test_without_fetch_metadata_the_origin_decides(
    service: Service, client: httpx2.AsyncClient, origin: str, status: int
) -> None:
    """Browsers leave `Sec-Fetch-Site` out on plain HTTP and when they are old; then the origin must be ours."""
    headers = OLD_BROWSER | {"Origin": origin}

    assert status == (await client.post(URL, json={"key": service.key}, headers=headers)).status_code


IMAGE = PAGE | {"Content-Type": "image/png"}


async def test_our_own_page_uploads_images(
    service: Service, client: httpx2.AsyncClient, cookie: dict[str, str]
) -> None:
    """By the content type of an image, which no page of another origin sends without a preflight."""
    for headers in (IMAGE, OLD_BROWSER | {"Content-Type": "image/webp"}):
        assert 201 == (await client.post(UPLOADS, content=png(), headers=headers | cookie)).status_code

    assert 2 * len(png()) == (await service.store.limits.quota("ada")).stored_bytes


@pytest.mark.parametrize(
    ("change", "status"),
    [
        *((change, status) for change, status in WITHOUT if "X-Pipelet" in change or "Sec-Fetch-Site" in change),
        *(
            ({"Content-Type": content_type}, 415)
            for content_type in (
                "multipart/form-data; boundary=x",
                "text/plain",
                "application/x-www-form-urlencoded",
                "application/json",
                "",
            )
        ),
    ],
)
async def test_a_page_of_another_origin_uploads_nothing(
    service: Service, client: httpx2.AsyncClient, cookie: dict[str, str], change: dict[str, str], status: int
) -> None:
    """A form of any page would be sent with the cookie, so none is taken, whatever else it has."""
    form = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + png() + b"\r\n--x--\r\n"

    response = await client.post(UPLOADS, content=form, headers=IMAGE | cookie | change)

    assert status == response.status_code
    assert {"detail", "message", "error_type"} == response.json().keys()
    assert 0 == (await service.store.limits.quota("ada")).stored_bytes


async def test_a_page_of_another_origin_reads_nothing(client: httpx2.AsyncClient, cookie: dict[str, str]) -> None:
    """A read with the cookie is refused if the browser says that it comes from another origin."""
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert status == (await client.get(URL, headers=cookie | {"Sec-Fetch-Site": site})).status_code


async def test_a_key_needs_none_of_this(service: Service, client: httpx2.AsyncClient, cookie: dict[str, str]) -> None:
    """A call with a key counts by its key, under any host, whatever cookie comes with it."""
    headers = cookie | {"Authorization": f"Bearer {await service.new_key('bob')}", "Sec-Fetch-Site": "cross-site"}

    for host in ("http://evil.example", HOST):
        assert "bob" == (await client.get(f"{host}/api/v1/session", headers=headers)).json()["user"]
    assert 401 == (await client.get(URL, headers=cookie | {"Authorization": "Bearer nothing"})).status_code
    proxied = await client.get(URL, headers=cookie | {"Authorization": "Basic cHJveHk6cGFzcw=="})
    assert "ada" == proxied.json()["user"], "Basic is for a proxy in front"


@pytest.mark.parametrize("host", ["evil.example", "pipelet.internal:8000", "localhost.evil.example"])
async def test_an_unknown_host_is_refused(
    service: Service, client: httpx2.AsyncClient, cookie: dict[str, str], host: str
) -> None:
    """A name that is not ours may be pointed at us by anyone: no login and no call by cookie, but health, and calls
    with a key."""
    url = f"https://{host}"
    cookie = {"Cookie": cookie["Cookie"].replace("8000", host.partition(":")[2] or "443")}
    login = await client.post(f"{url}/api/v1/session", json={"key": service.key}, headers=PAGE)
    call = await client.get(f"{url}/api/v1/session", headers=cookie)

    assert [421, 421] == [login.status_code, call.status_code]
    assert "PIPELET_PUBLIC_URL" in login.json()["message"]
    assert 200 == (await client.get(f"{url}/health/live")).status_code
    assert 200 == (await client.get(f"{url}/api/v1/session", headers=bearer(service))).status_code


@pytest.mark.parametrize("host", ["localhost:8000", "app.localhost:8000", "[::1]:8000", "127.1.2.3:8000"])
async def test_hosts_of_this_machine_are_known(service: Service, client: httpx2.AsyncClient, host: str) -> None:
    """By name and by address, on plain HTTP."""
    response = await client.post(f"http://{host}/api/v1/session", json={"key": service.key}, headers=PAGE)

    assert 204 == response.status_code, response.text


@pytest.mark.parametrize("host", ["[:::::]", "[1", "a b", "x:99999", ""])
async def test_a_host_that_is_none_is_no_crash(service: Service, client: httpx2.AsyncClient, host: str) -> None:
    """It is refused, or read as the address that the connection came in at."""
    headers = PAGE | {"Host": host}

    assert (await client.post(URL, json={"key": service.key}, headers=headers)).status_code in (204, 403, 421)


async def test_behind_a_proxy_with_tls(service: Service, client: httpx2.AsyncClient) -> None:
    """The host of PIPELET_PUBLIC_URL is known, and its cookie is secure also where the proxy does not say that it has
    TLS."""
    app = service.another_api(public_url="https://api.example.com")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api.example.com") as proxied:
        headers = OLD_BROWSER | {"Origin": "https://api.example.com"}
        response = await proxied.post("/api/v1/session", json={"key": service.key}, headers=headers)

    assert response.headers["set-cookie"].startswith("__Host-pipelet-443=")
    assert "Secure" in response.headers["set-cookie"]


async def test_plain_http_of_another_machine(service: Service, client: httpx2.AsyncClient) -> None:
    """Browsers would drop the cookie, so the login says what to do; where the operator accepts it, the cookie is one
    that they keep."""
    lan, body = "http://192.168.1.7:8000/api/v1/session", {"key": service.key}
    refused = await client.post(lan, json=body, headers=PAGE)
    app = service.another_api(ui_over_http=True)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as other:
        plain = await other.post(lan, json=body, headers=PAGE)
        with_tls = await other.post(lan.replace("http:", "https:"), json=body, headers=PAGE)

    assert (403, "insecure_connection") == (refused.status_code, refused.json()["error_type"])
    assert "PIPELET_UI_OVER_HTTP" in refused.json()["message"]
    assert plain.headers["set-cookie"].startswith("pipelet-8000=")
    assert "Secure" not in plain.headers["set-cookie"]
    assert with_tls.headers["set-cookie"].startswith("__Host-pipelet-8000=")
