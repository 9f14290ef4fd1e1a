"""The page at /docs."""

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response

_STATIC = "static-offline-docs"
"""Where `fastapi_offline` serves the files of the page."""


def add_docs_page(app: FastAPI) -> None:
    """Every address in it is relative to the page's own, because a proxy may take a prefix of the path away."""

    async def docs(_: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url=f"{_STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{_STATIC}/swagger-ui.css",
            swagger_favicon_url=f"{_STATIC}/favicon.png",
        )

    app.add_api_route("/docs", docs, methods=["GET"], include_in_schema=False)
