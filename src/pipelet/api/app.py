"""The application: which path leads to which handler."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import Route

from pipelet.api import description, docs_page, events, files, health, jwks, problems, queue, run, submit
from pipelet.api.auth import Doorkeeper
from pipelet.api.body import Bodies
from pipelet.api.cross_origin import CrossOrigin
from pipelet.api.downloads import Downloads, Fetchers
from pipelet.api.estimates import Estimates
from pipelet.api.fast_path import FastPath, Handler
from pipelet.api.held import Held
from pipelet.api.input_model import edit_input_model, input_model
from pipelet.api.local_files import LocalFiles
from pipelet.api.metrics import Metrics
from pipelet.api.parts import Pace, Parts
from pipelet.api.proxy import Proxy
from pipelet.api.recent import Recent
from pipelet.api.references import References
from pipelet.api.safe_headers import SafeHeaders
from pipelet.api.watcher import Watcher
from pipelet.api.webhook_target import MayCall
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.catalog import EDIT, Catalog
from pipelet.domain.ports import BlobStore, Clock, JobStore
from pipelet.domain.webhook_keys import published


class Direct(APIRoute):
    """Described like any route, but its handler gets the request as it is: nothing to inject, nothing to validate."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


def build_api(
    *,
    store: JobStore,
    blobs: BlobStore,
    catalog: Catalog,
    clock: Clock,
    public_url: str | None,
    local_files: LocalFiles | None = None,
    may_call: MayCall,
    fetchers: Fetchers | None = None,
    allowed_origins: Sequence[str] = ("*",),
    pace: Pace | None = None,
    most_held: int = 10_000,
    version: str,
) -> FastAPI:
    """Connect the parts. Opening and closing them is the caller's."""
    public_url = public_url.rstrip("/") if public_url else None
    app = FastAPIOffline(  # the page at /docs comes from here, not from a network that may not be there
        docs_url=None,
        redoc_url=None,
        servers=[{"url": public_url}] if public_url else None,
        title="Pipelet",
        version=version,
        description=description.ABOUT,
        redirect_slashes=False,  # fal's clients do not follow redirects
    )
    app.router.route_class = Direct
    estimates = Estimates(store, catalog, clock)
    throttle = LogThrottle()
    trouble = partial(health.trouble_of, throttle=throttle)
    paused: Recent[Mapping[str, float]] = Recent(store.paused, seconds=0.5, clock=clock)
    app.state.parts = Parts(
        store=store,
        blobs=blobs,
        catalog=catalog,
        clock=clock,
        public_url=public_url,
        local_files=local_files,
        version=version,
        input_models={
            name: (edit_input_model if catalog.apps[name].task == EDIT else input_model)(
                catalog.apps[name].limits, catalog.model_of(catalog.apps[name])
            )
            for name in catalog.served_apps()
        },
        bodies=Bodies(),
        references=References(
            store,
            blobs,
            Downloads(fetchers=fetchers, blobs=blobs, local_files=local_files, clock=clock),
            clock,
        ),
        doorkeeper=Doorkeeper(store, clock),
        estimates=estimates,
        metrics=Metrics(store, catalog, clock),
        paused=paused,
        may_call=may_call,
        webhook_keys=Recent(lambda: _webhook_keys(store, clock), seconds=2.0, clock=clock),
        store_trouble=Recent(partial(trouble, "store", partial(health.check_store, store)), seconds=2.0, clock=clock),
        blobs_trouble=Recent(partial(trouble, "blobs", blobs.check), seconds=2.0, clock=clock),
        throttle=throttle,
        watcher=Watcher(store, estimates, paused, clock),
        held=Held(most_held),
        pace=pace or Pace(),
    )
    problems.add_handlers(app)
    app.add_middleware(FastPath, submit=submit.submit, status=queue.status, served=app.state.parts.input_models)
    # The outermost, which Starlette would hand our answer to bugs, is out of reach of what lets pages read it.
    app.add_middleware(ServerErrorMiddleware, handler=problems.on_bug)
    app.add_middleware(CrossOrigin, origins=allowed_origins)  # around those before
    app.add_middleware(SafeHeaders)
    _add_reads(app, catalog)
    _add_submits(app, app.state.parts)
    _add_runs(app, app.state.parts)
    app.router.routes += [Route(path, Proxy(), include_in_schema=False) for path in ("/fal/proxy", "/fal/proxy/")]
    _add_operations(app)
    if local_files is not None:
        app.add_api_route("/files/{key:path}", files.fetch, methods=["GET"], include_in_schema=False)
    docs_page.add_docs_page(app)
    _add_heads(app)
    description.add_security(app)
    return app


def end_streams(app: FastAPI) -> None:
    """Break off every open stream, and those to come: for a server that is about to stop."""
    app.state.parts.watcher.close()


async def _webhook_keys(store: JobStore, clock: Clock) -> Mapping[str, Any]:
    return jwks.jwks(published(await store.outbox.keys(), clock.now()))


def _add_reads(app: FastAPI, catalog: Catalog) -> None:
    request = "/fal/queue/{app}/requests/{request_id}"
    plain = description.of_read(catalog)
    with_logs = description.of_read(catalog, description.LOGS)
    _add(
        app,
        "GET",
        f"{request}/status",
        queue.status,
        summary="Get status",
        description=description.ABOUT_STATUS,
        responses=description.STATUS,
        openapi_extra=with_logs,
    )
    _add(
        app,
        "GET",
        f"{request}/status/stream",
        events.stream,
        summary="Stream status",
        description=description.ABOUT_STREAM,
        responses=description.STREAM,
        openapi_extra=description.of_read(catalog, description.LOGS, description.LAST_EVENT_ID),
    )
    _add(
        app,
        "GET",
        request,
        queue.result,
        summary="Get the result",
        description=description.ABOUT_RESULT,
        responses=description.RESULT,
        openapi_extra=plain,
    )
    _add(app, "GET", f"{request}/response", queue.result, include_in_schema=False)
    _add(
        app,
        "PUT",
        f"{request}/cancel",
        queue.cancel,
        202,
        summary="Cancel a request",
        description=description.ABOUT_CANCEL,
        responses=description.CANCEL,
        openapi_extra=description.of_read(catalog, description.IN_PROGRESS),
    )
    # fal's own examples keep the rest of a longer app name in these paths; its clients leave it out.
    longer = "/fal/queue/{app}/{rest:path}/requests/{request_id}"
    for method, path, handler in (
        ("GET", "/status", queue.status),
        ("GET", "", queue.result),
        ("GET", "/response", queue.result),
        ("PUT", "/cancel", queue.cancel),
    ):
        _add(app, method, longer + path, handler, include_in_schema=False)


def _add_submits(app: FastAPI, parts: Parts) -> None:
    for name, model in parts.input_models.items():
        path, extra = f"/fal/queue/{name}", description.of_submit(model)
        _add(
            app,
            "POST",
            path,
            submit.submit,
            summary="Submit a request",
            description=description.ABOUT_SUBMIT,
            responses=description.SUBMIT,
            openapi_extra=extra,
        )
    _add(app, "POST", "/fal/queue/{app}", submit.unknown_app, include_in_schema=False)


def _add_runs(app: FastAPI, parts: Parts) -> None:
    """Under both names: fal's clients put the owner of an app before it, and `queue` is that owner here."""
    for name, model in parts.input_models.items():
        _add(
            app,
            "POST",
            f"/fal/run/{name}",
            run.run,
            summary="Submit a request and wait for its result",
            description=description.ABOUT_RUN,
            responses=description.RUN,
            openapi_extra=description.of_submit(model),
        )
        _add(app, "POST", f"/fal/run/queue/{name}", run.run, include_in_schema=False)
    for path in ("/fal/run/{app}", "/fal/run/queue/{app}"):
        _add(app, "POST", path, submit.unknown_app, include_in_schema=False)


def _add_operations(app: FastAPI) -> None:
    _add(app, "GET", "/", health.root, include_in_schema=False)
    _add(app, "GET", "/.well-known/jwks.json", jwks.published_keys, include_in_schema=False)
    _add(app, "GET", "/health/live", health.live, include_in_schema=False)
    _add(app, "GET", "/health/ready", health.ready, include_in_schema=False)
    _add(app, "GET", "/metrics", health.scrape, include_in_schema=False)


def _add_heads(app: FastAPI) -> None:
    """HEAD wherever there is GET, as monitors ask. Behind all other routes, so that those are found as quickly."""
    for route in [*app.router.routes]:
        if isinstance(route, Direct) and route.methods == {"GET"}:
            app.add_api_route(route.path, route.endpoint, methods=["HEAD"], include_in_schema=False)


def _add(app: FastAPI, method: str, path: str, handler: Handler, status: int | None = None, **about: Any) -> None:
    """Also with a trailing slash, answered directly: clients that use one do not follow redirects."""
    app.add_api_route(path, handler, methods=[method], status_code=status, tags=["queue"], **about)
    if not path.endswith("/"):
        about["include_in_schema"] = False
        app.add_api_route(f"{path}/", handler, methods=[method], **about)
