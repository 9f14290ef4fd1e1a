"""Every path of fal's protocol, in one table."""

from collections.abc import Iterable, Iterator, Mapping

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.routing import Route as AsgiRoute

from pipelet.api.fal.cancel import cancel
from pipelet.api.fal.description import operations
from pipelet.api.fal.description.operations import read_extra, submit_extra
from pipelet.api.fal.proxy import Proxy
from pipelet.api.fal.result import result
from pipelet.api.fal.run import run
from pipelet.api.fal.status import status
from pipelet.api.fal.status_events import stream
from pipelet.api.fal.submit import submit
from pipelet.api.input.schema import InputModel
from pipelet.api.routing import Route, described
from pipelet.domain.catalog import Catalog

_REQUEST = "/fal/queue/{app}/requests/{request_id}"
_LONGER = "/fal/queue/{app}/{rest:path}/requests/{request_id}"
"""fal's own examples keep the rest of a longer app name in these paths; its clients leave it out."""

STATUS = Route("GET", f"{_REQUEST}/status", status, operations.STATUS)
ROUTES = (
    STATUS,
    Route("GET", f"{_REQUEST}/status/stream", stream, operations.STREAM),
    Route("GET", _REQUEST, result, operations.RESULT),
    Route("GET", f"{_REQUEST}/response", result),
    Route("PUT", f"{_REQUEST}/cancel", cancel, operations.CANCEL),
    Route("GET", f"{_LONGER}/status", status),
    Route("GET", _LONGER, result),
    Route("GET", f"{_LONGER}/response", result),
    Route("PUT", f"{_LONGER}/cancel", cancel),
    Route("POST", "/fal/queue/{app}", submit, operations.SUBMIT),
    Route("POST", "/fal/run/{app}", run, operations.RUN),
    # fal's clients put the owner of an app before its name, and `queue` is that owner here.
    Route("POST", "/fal/run/queue/{app}", run),
)
PROXY = "/fal/proxy"
"""All methods; see `proxy`."""


def fal_routes(served: Iterable[str]) -> Iterator[BaseRoute]:
    """The table. Submits to the apps that are `served` have paths of their own."""
    for route in ROUTES:
        if route.operation is not None and route.method == "POST":
            yield from (Route(route.method, route.path.format(app=app), route.endpoint) for app in served)
        yield route
    yield from (AsgiRoute(path, Proxy(), include_in_schema=False) for path in (PROXY, f"{PROXY}/"))


def describe_routes(catalog: Catalog, input_models: Mapping[str, InputModel]) -> Iterator[APIRoute]:
    """The table as OpenAPI has it: a submit for each app, with the app's input."""
    for route in ROUTES:
        about = route.operation
        if about is not None and route.method == "POST":
            for app, model in input_models.items():
                yield described(route, route.path.format(app=app), about, submit_extra(about, model))
        elif about is not None:
            yield described(route, route.path, about, read_extra(about, catalog))
