"""Every path of fal's protocol, in one table."""

from collections.abc import Iterator, Mapping

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.routing import Route as AsgiRoute

from pipelet.api.fal.cancel import cancel
from pipelet.api.fal.description import operations
from pipelet.api.fal.description.operations import read_extra, submit_extra
from pipelet.api.fal.input.schema import InputModel
from pipelet.api.fal.proxy import Proxy
from pipelet.api.fal.result import result
from pipelet.api.fal.run import run
from pipelet.api.fal.status import status
from pipelet.api.fal.stream import stream
from pipelet.api.fal.submit import submit
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


def fal_routes(catalog: Catalog, input_models: Mapping[str, InputModel]) -> Iterator[BaseRoute]:
    """The table, then its description. Submits have a path for each app, which is described with the app's input."""
    documented: list[APIRoute] = []
    for route in ROUTES:
        if route.operation is not None and route.method == "POST":
            for app, model in input_models.items():
                path = route.path.format(app=app)
                yield Route(route.method, path, route.endpoint)
                documented.append(described(route, path, route.operation, submit_extra(route.operation, model)))
        elif route.operation is not None:
            documented.append(described(route, route.path, route.operation, read_extra(route.operation, catalog)))
        yield route
    yield from (AsgiRoute(path, Proxy(), include_in_schema=False) for path in (PROXY, f"{PROXY}/"))
    yield from documented
