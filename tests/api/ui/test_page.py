"""The page as a browser gets it."""

import gzip
import re

import httpx2
import pytest
from hatchling.builders.wheel import WheelBuilder

from pipelet.api.ui.assets import WEB, Assets
from tests.api.service import Service
from tests.docs.test_docs import ROOT

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def policy_of(response: httpx2.Response) -> dict[str, list[str]]:
    """The stricter of the policies: the first."""
    rules = response.headers.get_list("content-security-policy")[0].split("; ")
    return {name: values for name, *values in (rule.split() for rule in rules)}


async def test_root_leads_browsers_to_the_page(service: Service) -> None:
    """Programs get JSON, as they always did; behind a proxy with a prefix the relative redirect still leads there."""
    response = await service.client.get("/", headers=HTML)
    assert (307, "ui/", "Accept") == (response.status_code, response.headers["location"], response.headers["vary"])
    for accept in ("*/*", "application/json"):
        response = await service.client.get("/", headers={"Accept": accept})
        assert (200, "pipelet") == (response.status_code, response.json()["service"])
    response = await service.client.get("/ui", headers=HTML)
    assert (307, "ui/") == (response.status_code, response.headers["location"])


async def test_page_may_load_nothing_from_elsewhere(service: Service) -> None:
    """The page needs no key; scripts and styles are its own files, and scripts make no script of a text."""
    response = await httpx2.AsyncClient(transport=httpx2.ASGITransport(service.app), base_url="http://test").get("/ui/")
    assert (200, "no-store") == (response.status_code, response.headers["cache-control"])
    policy = policy_of(response)
    assert ["'none'"] == policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"]
    assert ["'self'"] == policy["script-src"] == policy["style-src"] == policy["connect-src"]
    assert ["'self'", "blob:", "data:"] == policy["img-src"]
    assert ["'script'"] == policy["require-trusted-types-for"]
    assert not re.search(r"<style|style=|<script(?! type=\"module\" src=)|\son\w+=|https?://", response.text)


async def test_images_of_a_bucket_are_allowed(service: Service) -> None:
    """The origin of signed URLs joins those of images, and no others."""
    app = service.another_api(image_origins=["https://s3.example.com"])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        policy = policy_of(await client.get("/ui/"))
    assert ["'self'", "blob:", "data:", "https://s3.example.com"] == policy["img-src"]
    assert ["'self'"] == policy["connect-src"] == policy["script-src"]


async def test_files_may_be_kept_for_ever(service: Service) -> None:
    """Every file that the page names exists, under a path that changes with its content."""
    page = (await service.client.get("/ui/")).text
    for link in re.findall(r'(?:href|src)="([^"]+)"', page):
        response = await service.client.get(f"/ui/{link}")
        assert 200 == response.status_code, link
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["content-type"].split(";")[0] in {"text/css", "text/javascript", "image/svg+xml"}
        other = re.sub(r"static/\w+", "static/0123456789abcdef", link)
        assert 404 == (await service.client.get(f"/ui/{other}")).status_code


async def test_files_are_compressed_for_browsers_that_say_so(service: Service) -> None:
    name = f"/ui/static/{Assets.read().hash}/js/main.js"
    async with service.client.stream("GET", name, headers={"Accept-Encoding": "gzip, br"}) as response:
        sent = b"".join([part async for part in response.aiter_raw()])
    assert ("gzip", "Accept-Encoding") == (response.headers["content-encoding"], response.headers["vary"])
    assert Assets.read().files["js/main.js"].body == gzip.decompress(sent)
    response = await service.client.get(name, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in response.headers


def test_files_are_sent_without_their_comments() -> None:
    """All other lines are there, under the same numbers; what others wrote is sent whole, with its licences."""
    removed = 0
    for name, asset in Assets.read().files.items():
        lines, is_inside = (WEB / name).read_bytes().split(b"\n"), False
        for line, sent in zip(lines, asset.body.split(b"\n"), strict=True):
            text = line.strip()
            is_inside |= text.startswith((b"/*", b"//"))
            assert sent == line or (sent == b"" and is_inside), f"{name}: {line!r}"
            removed += sent != line
            is_inside &= not text.startswith(b"//") and not text.endswith(b"*/")
        assert not name.startswith("vendor/") or asset.body == (WEB / name).read_bytes()
    assert removed > 100


@pytest.mark.parametrize("path", ["index.html", "js/lib/api.d.ts", "vendor/VENDOR.toml", "../api/app.py", "js"])
async def test_other_files_are_not_served(service: Service, path: str) -> None:
    """What is not for browsers is not there."""
    assert 404 == (await service.client.get(f"/ui/static/{Assets.read().hash}/{path}")).status_code


async def test_page_can_be_left_out(service: Service) -> None:
    """`PIPELET_UI=false`: no page, and `/` has JSON for everybody."""
    app = service.another_api(ui=False)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        assert "pipelet" == (await client.get("/", headers=HTML)).json()["service"]
        assert 404 == (await client.get("/ui/", headers=HTML)).status_code


def test_every_file_goes_into_the_wheel() -> None:
    """The build backend packs each file that browsers get, and the licences of the libraries among them, but not the
    types that are for the checks of the repository."""
    packed = {each.distribution_path for each in WheelBuilder(str(ROOT)).recurse_included_files()}

    served = {f"pipelet/web/{name}" for name in Assets.read().files}
    licences = {f"pipelet/web/vendor/{path.name}" for path in (WEB / "vendor").glob("*.LICENSE")}
    assert len(served) > 80
    assert len(licences) == 3
    assert set() == (served | licences | {"pipelet/web/index.html"}) - packed
    assert [] == [name for name in packed if name.endswith(".d.ts")]
