"""The HTTP API, and its clients for fetching input images."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import httpx2
from fastapi import FastAPI
from starlette.applications import Starlette

from pipelet import USER_AGENT, __version__
from pipelet.api import app as api_app
from pipelet.api.operations.metrics import Metrics, build_metrics_app
from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.catalog import Catalog
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.store import Store
from pipelet.outbound import is_allowed_address, public_only_client
from pipelet.services.accounts.limit_refusals import LimitRefusals
from pipelet.services.accounts.maintenance import AccountMaintenance
from pipelet.services.input_images.fetch import HttpClients
from pipelet.services.queue.diagnosis import Diagnose
from pipelet.settings import Settings
from pipelet.settings.aws import AwsSettings
from pipelet.wiring.blobs import image_origins, proxy_for_bucket


@dataclass(frozen=True, slots=True)
class Api:
    app: FastAPI
    metrics: Metrics
    refusals: LimitRefusals
    account_maintenance: AccountMaintenance

    def build_metrics_app(self) -> Starlette:
        """Return an app that serves the metrics without a key."""
        return build_metrics_app(self.metrics)

    def close_streams(self) -> None:
        """Close every open stream, because the server is about to stop."""
        api_app.close_streams(self.app)


def build_api(
    settings: Settings,
    *,
    store: Store,
    blobs: BlobStore,
    catalog: Catalog,
    http_clients: HttpClients | None = None,
    diagnose: Diagnose | None = None,
) -> Api:
    app = api_app.build_api(
        store=store,
        blobs=blobs,
        signed_files=blobs if isinstance(blobs, DiskBlobStore) else None,
        catalog=catalog,
        public_url=settings.public_url,
        is_allowed_address=partial(is_allowed_address, allowed=settings.extra_allowed_networks),
        http_clients=http_clients,
        allowed_origins=settings.origins,
        max_open_streams=settings.max_open_streams,
        retention_seconds=settings.retention_days * 86400,
        access_log=settings.access_log,
        ui=settings.ui,
        ui_over_http=settings.ui_over_http,
        image_origins=image_origins(settings),
        diagnose=diagnose,
        default_limits=settings.default_limits,
        version=__version__,
    )
    maintenance = AccountMaintenance(store, app.state.dependencies.authenticator, app.state.sessions)
    return Api(app, app.state.metrics, app.state.refusals, maintenance)


@contextlib.asynccontextmanager
async def open_http_clients(settings: Settings) -> AsyncIterator[HttpClients]:
    """Open the clients that fetch input images: one for addresses of users, one for the bucket."""
    public = public_only_client(allowed=settings.extra_allowed_networks, max_redirects=3)
    proxy = None if settings.bucket is None else proxy_for_bucket(settings.s3_public_url or AwsSettings().endpoint)
    # With a transport of our own, httpx2 reads certificates from the environment, but no proxies.
    transport = httpx2.AsyncHTTPTransport(proxy=None if proxy is None else proxy.url)
    headers = {"User-Agent": USER_AGENT}
    async with public, httpx2.AsyncClient(transport=transport, timeout=10.0, headers=headers) as storage:
        yield HttpClients(public=public, storage=storage)
