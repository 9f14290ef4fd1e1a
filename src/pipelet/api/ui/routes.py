"""Routes of the page, in one table.

Redirects and addresses in the page are relative, because a proxy may remove a prefix of the path.
"""

from collections.abc import Iterable, Iterator, Mapping

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.routing import Handler, Route
from pipelet.api.ui.assets import Assets
from pipelet.api.ui.headers import page_headers
from pipelet.domain.errors import NotFound

_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}


def ui_routes(*, root: Handler, image_origins: Iterable[str]) -> Iterator[Route]:
    """
    Args:
        root: answers `/` to programs; browsers are sent to the page.
        image_origins: other origins that URLs of images lead to.
    """
    page = _Page(Assets.read(), page_headers(image_origins))

    async def root_or_page(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return _redirect("ui/")
        response = await root(request)
        response.headers["Vary"] = "Accept"
        return response

    yield from (
        Route("GET", "/", root_or_page),
        Route("GET", "/ui", page.add_slash, is_exact=True),
        Route("GET", "/ui/", page.show),
        Route("GET", "/ui/static/{hash}/{path:path}", page.send_file, is_exact=True),
    )


class _Page:
    def __init__(self, assets: Assets, headers: Mapping[str, str]) -> None:
        self._assets = assets
        self._headers = headers

    async def add_slash(self, _: Request) -> Response:
        return _redirect("ui/")

    async def show(self, _: Request) -> Response:
        return Response(self._assets.page, headers=dict(self._headers), media_type="text/html")

    async def send_file(self, request: Request) -> Response:
        """
        Raises:
            NotFound: no such file in this version: the browser has the page of another one.
        """
        asset = self._assets.files.get(request.path_params["path"])
        if asset is None or request.path_params["hash"] != self._assets.hash:
            raise NotFound("The page of this version has no such file. Load the page again.")
        headers = {**_FOR_EVER, "Content-Type": asset.content_type}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.compressed, headers=headers | {"Content-Encoding": "gzip"})
        return Response(asset.body, headers=headers)


def _redirect(to: str) -> Response:
    return Response(status_code=307, headers={"Location": to, "Vary": "Accept"})
