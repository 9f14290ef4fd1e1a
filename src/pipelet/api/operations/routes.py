"""Routes for operators and for the page at /docs, in one table."""

from collections.abc import Iterator

from fastapi import Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response

from pipelet.api.auth import authenticate
from pipelet.api.dependencies import get_dependencies
from pipelet.api.operations.files import serve_files
from pipelet.api.operations.health import Health
from pipelet.api.operations.jwks import serve_published_keys
from pipelet.api.operations.metrics import Metrics
from pipelet.api.routing import Route
from pipelet.domain.ports.blobs import SignedFiles
from pipelet.domain.ports.store import Store

_STATIC = "static-offline-docs"
"""Where `fastapi_offline` serves the files of the page."""


def operations_routes(
    store: Store, *, health: Health, metrics: Metrics, signed_files: SignedFiles | None
) -> Iterator[Route]:
    """`signed_files` is None where another service serves the files."""

    async def scrape(request: Request) -> Response:
        await authenticate(get_dependencies(request), request.scope)
        return await metrics.scrape()

    yield from (
        Route("GET", "/", health.root),
        Route("GET", "/health/live", health.live),
        Route("GET", "/health/ready", health.ready),
        Route("GET", "/metrics", scrape),
        Route("GET", "/.well-known/jwks.json", serve_published_keys(store.outbox, store.clock)),
        Route("GET", "/docs", docs_page, is_exact=True),  # its addresses are relative to this path
    )
    if signed_files is not None:
        yield Route("GET", "/files/{key:path}", serve_files(signed_files, store.clock))


async def docs_page(request: Request) -> Response:
    """Its addresses are relative, because a proxy may remove a prefix of the path."""
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title=request.app.title,
        swagger_js_url=f"{_STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{_STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{_STATIC}/favicon.png",
    )
