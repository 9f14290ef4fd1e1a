"""Routes for operators and for the page at /docs, in one table."""

from collections.abc import Iterable

from fastapi import Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from pipelet.api.auth import authenticate
from pipelet.api.dependencies import get_dependencies
from pipelet.api.operations.docs_page import docs_page
from pipelet.api.operations.files import SignedFileRoute
from pipelet.api.operations.health import Health
from pipelet.api.operations.jwks import PublishedKeys
from pipelet.api.operations.metrics import Metrics
from pipelet.api.routing import Route


def operations_routes(
    *, health: Health, metrics: Metrics, keys: PublishedKeys, files: SignedFileRoute | None
) -> Iterable[Route]:
    """`files` is None where another service serves the files."""

    async def scrape(request: Request) -> Response:
        await authenticate(get_dependencies(request).authenticator, request.scope)
        return Response(await metrics.text(), media_type=CONTENT_TYPE_LATEST)

    yield from (
        Route("GET", "/", health.root),
        Route("GET", "/health/live", health.live),
        Route("GET", "/health/ready", health.ready),
        Route("GET", "/metrics", scrape),
        Route("GET", "/.well-known/jwks.json", keys.get),
        Route("GET", "/docs", docs_page, is_exact=True),  # its addresses are relative to this path
    )
    if files is not None:
        yield Route("GET", "/files/{key:path}", files.fetch)
