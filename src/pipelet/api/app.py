"""The application: services, middleware and the routes of every API."""

from collections.abc import Sequence
from itertools import chain

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.errors import ServerErrorMiddleware

from pipelet.api import error_handlers, openapi
from pipelet.api.automatic1111 import routes as automatic1111
from pipelet.api.automatic1111.progress import API as AUTOMATIC1111
from pipelet.api.body import BodyReader
from pipelet.api.connections import ConnectionLimiter
from pipelet.api.dependencies import Dependencies, StreamTimeouts
from pipelet.api.fal.fast_path import FastPath
from pipelet.api.fal.input.webhook_target import IsAllowedAddress
from pipelet.api.fal.routes import STATUS, STATUS_OF_ID, SUBMITS_TO_ID, describe_routes, fal_routes
from pipelet.api.fal.submit import submit
from pipelet.api.input.parse import InputSchemas
from pipelet.api.input.schema import input_model
from pipelet.api.middleware.access_log import AccessLog, AccessLogLevel
from pipelet.api.middleware.cors import SelectiveCORS
from pipelet.api.middleware.security_headers import SecurityHeaders
from pipelet.api.openai import routes as openai
from pipelet.api.operations.health import Health
from pipelet.api.operations.metrics import Metrics
from pipelet.api.operations.routes import operations_routes
from pipelet.api.refusals import Refusals
from pipelet.api.ui.routes import ui_routes
from pipelet.api.v1 import routes as v1
from pipelet.api.v1.dependencies import Accounts, Services
from pipelet.api.v1.session.cookies import SessionCookie
from pipelet.api.v1.streams import Feeds
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.accounts.limits import NO_LIMITS, UserLimits
from pipelet.domain.catalog import EDIT, Catalog
from pipelet.domain.ports.blobs import BlobStore, SignedFiles
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.audit import ContentReads
from pipelet.services.accounts.authentication import Authenticator
from pipelet.services.accounts.failed_logins import FailedLogins
from pipelet.services.accounts.limit_refusals import LimitRefusals
from pipelet.services.accounts.sessions import Sessions
from pipelet.services.input_images.fetch import HttpClients, ImageFetcher
from pipelet.services.input_images.loader import InputImageLoader
from pipelet.services.input_images.upload_tickets import UploadTickets
from pipelet.services.input_images.uploads import Uploads
from pipelet.services.queue.diagnosis import Diagnose
from pipelet.services.queue.estimates import Estimates
from pipelet.services.queue.storage import StorageReports
from pipelet.services.requests.actions import RequestActions
from pipelet.services.requests.bulk import BulkActions
from pipelet.services.requests.lists import RequestLists
from pipelet.services.requests.newest import NewestRequest
from pipelet.services.requests.predictions import Predictions
from pipelet.services.requests.previews import PreviewFeed
from pipelet.services.requests.status import StatusReader
from pipelet.services.requests.status_feed import StatusFeed
from pipelet.services.requests.submit import Submits
from pipelet.services.requests.waiting import Waiting
from pipelet.services.thumbnails.thumbnails import Thumbnails


def build_api(
    *,
    store: Store,
    blobs: BlobStore,
    catalog: Catalog,
    public_url: str | None,
    signed_files: SignedFiles | None = None,
    is_allowed_address: IsAllowedAddress,
    http_clients: HttpClients | None = None,
    allowed_origins: Sequence[str] = ("*",),
    stream_timeouts: StreamTimeouts | None = None,
    max_open_streams: int = 10_000,
    retention_seconds: float = 30 * 86400.0,
    access_log: AccessLogLevel = "off",
    ui: bool = True,
    ui_over_http: bool = False,
    image_origins: Sequence[str] = (),
    diagnose: Diagnose | None = None,
    default_limits: UserLimits = NO_LIMITS,
    version: str,
) -> FastAPI:
    """Connect services, middleware and routes. The caller opens and closes the stores.

    Args:
        retention_seconds: seconds for which maintenance keeps requests after their end.
        ui: whether to serve the page at `/ui/`.
        image_origins: other origins that URLs of images lead to.
        diagnose: checks the installation of this process.
    """
    public_url = public_url.rstrip("/") if public_url else None
    app = _new_app(public_url, version)
    metrics = app.state.metrics = Metrics(store, catalog)
    clock, throttle = store.clock, LogThrottle()
    authenticator, estimates = Authenticator(store.api_keys, store.limits, clock), Estimates(store, catalog)
    refusals = app.state.refusals = LimitRefusals(store.limits, clock, metrics)
    uploads = Uploads(store, blobs, refusals, retention_seconds=retention_seconds)
    fetcher = ImageFetcher(
        http_clients=http_clients, blobs=blobs, signed_files=signed_files, uploads=uploads, clock=clock
    )
    statuses = StatusReader(store, catalog, estimates)
    status_feed = StatusFeed(store, statuses)
    submits = Submits(
        store=store,
        catalog=catalog,
        authenticator=authenticator,
        estimates=estimates,
        input_images=InputImageLoader(store.files, blobs, fetcher, clock),
        observer=metrics,
        refusals=refusals,
    )
    app.state.dependencies = Dependencies(
        jobs=store.jobs,
        blobs=blobs,
        catalog=catalog,
        clock=clock,
        public_url=public_url,
        authenticator=authenticator,
        bodies=BodyReader(),
        submits=submits,
        statuses=statuses,
        status_feed=status_feed,
        waiting=Waiting(store, statuses, status_feed),
        previews=PreviewFeed(store),
        uploads=uploads,
        upload_tickets=UploadTickets(store.api_keys, authenticator, clock),
        connection_limiter=ConnectionLimiter(max_open_streams),
        stream_timeouts=stream_timeouts or StreamTimeouts(),
        throttle=throttle,
        refusals=Refusals(metrics),
    )
    _add_fal(app, catalog, is_allowed_address)
    sessions = app.state.sessions = Sessions(store.sessions, store.api_keys, authenticator, clock)
    accounts = Accounts(
        sessions=sessions,
        cookie=SessionCookie(public_url, over_http=ui_over_http),
        failed_logins=FailedLogins(),
        content_reads=ContentReads(store.audit, clock),
    )
    actions = RequestActions(store, blobs, catalog)
    app.state.v1 = Services(
        store=store,
        catalog=catalog,
        accounts=accounts,
        default_limits=default_limits,
        estimates=estimates,
        request_lists=RequestLists(store, statuses, retention_seconds=retention_seconds),
        request_actions=actions,
        bulk_actions=BulkActions(store, actions),
        predictions=Predictions(store, catalog, estimates),
        thumbnails=Thumbnails(store, blobs),
        uploads=uploads,
        storage=StorageReports(store, signed_files, retention_seconds=retention_seconds),
        diagnose=diagnose,
    )
    app.state.automatic1111 = NewestRequest(store, statuses, AUTOMATIC1111)
    app.state.v1_feeds = Feeds.of(app.state.v1, statuses, public_url=public_url)
    app.router.routes += [*v1.ROUTES, *openai.openai_routes(), *automatic1111.ROUTES]
    health = Health(store, blobs, throttle, version=version)
    if ui:
        app.router.routes += ui_routes(root=health.root, image_origins=image_origins)
    app.router.routes += operations_routes(store, health=health, metrics=metrics, signed_files=signed_files)
    error_handlers.add_handlers(app)
    _add_middleware(app, allowed_origins, access_log)
    return app


def close_streams(app: FastAPI) -> None:
    """End every open stream and refuse new ones, before the server stops."""
    app.state.dependencies.status_feed.close()
    app.state.v1_feeds.close()


def _new_app(public_url: str | None, version: str) -> FastAPI:
    return FastAPIOffline(  # serves the page at /docs without access to the internet
        docs_url=None,
        redoc_url=None,
        servers=[{"url": public_url}] if public_url else None,
        title="Pipelet",
        version=version,
        description=openapi.ABOUT,
        redirect_slashes=False,  # fal's clients do not follow redirects
        telemetry={"tracing": False, "metrics": False, "logs": False},  # we have our own, and each request would ask
    )


def _add_fal(app: FastAPI, catalog: Catalog, is_allowed_address: IsAllowedAddress) -> None:
    served = [catalog.apps[name] for name in catalog.served_apps()]
    models = {each.name: input_model(each, catalog.model_of(each)) for each in served}
    edit_app = next((each.name for each in served if each.task == EDIT), None)
    app.state.input_schemas = InputSchemas(models=models, edit_app=edit_app)
    app.state.is_allowed_address = is_allowed_address
    fal_ids = catalog.served_fal_ids()
    app.router.routes += fal_routes(models, fal_ids)
    openapi.describe(
        app,
        lambda: chain(
            describe_routes(catalog, models),
            openai.describe_routes(catalog, models),
            automatic1111.describe_routes(),
            v1.describe_v1(),
        ),
    )
    submits = {f"/fal/queue/{name}": submit for name in models}
    submits |= {f"{root}/{each.name}": handler for each in fal_ids for root, handler in SUBMITS_TO_ID}
    app.add_middleware(FastPath, submits=submits, status=STATUS, status_of_id=STATUS_OF_ID)


def _add_middleware(app: FastAPI, allowed_origins: Sequence[str], access_log: AccessLogLevel) -> None:
    """From the inside out, around the fast path."""
    # Starlette's own handler of crashes is the outermost, where CORS headers would be missing.
    app.add_middleware(ServerErrorMiddleware, handler=error_handlers.on_unhandled_error)
    app.add_middleware(SelectiveCORS, origins=allowed_origins)
    app.add_middleware(SecurityHeaders)
    if access_log != "off":
        app.add_middleware(AccessLog, level=access_log)
