"""The metrics alone, without a key: for an address that only the monitoring reaches."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipelet.api.metrics import Metrics
from pipelet.domain.errors import StoreUnusable


def build_metrics_app(metrics: Metrics) -> Starlette:
    async def scrape(_: Request) -> Response:
        try:
            return Response(await metrics.text(), media_type=CONTENT_TYPE_LATEST)
        except StoreUnusable:  # the reason is in the log, by every part of the service that meets it
            return PlainTextResponse("The database cannot be read now.\n", 503)

    return Starlette(routes=[Route("/metrics", scrape)])
