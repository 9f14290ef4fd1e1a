"""Metrics without a key, for an address that only the monitoring system reaches."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipelet.api.operations.metrics import Metrics
from pipelet.domain.errors import StoreError


def build_metrics_app(metrics: Metrics) -> Starlette:
    async def scrape(_: Request) -> Response:
        try:
            return Response(await metrics.text(), media_type=CONTENT_TYPE_LATEST)
        except StoreError:  # the parts of the service that need it log the reason
            return PlainTextResponse("The database is unavailable.\n", 503)

    return Starlette(routes=[Route("/metrics", scrape)])
