"""The page at /docs."""

from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response

_STATIC = "static-offline-docs"
"""Where `fastapi_offline` serves the files of the page."""


async def docs_page(request: Request) -> Response:
    """Its addresses are relative, because a proxy may remove a prefix of the path."""
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title=request.app.title,
        swagger_js_url=f"{_STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{_STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{_STATIC}/favicon.png",
    )
