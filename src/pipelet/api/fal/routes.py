"""Every path of fal's protocol, in one table."""

from collections.abc import Iterable, Iterator, Mapping

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.routing import Route as AsgiRoute

from pipelet.api.fal.cancel import cancel
from pipelet.api.fal.description import operations
from pipelet.api.fal.description.operations import read_extra, submit_extra
from pipelet.api.fal.ids.handlers import read_output, run_id, submit_to_id
from pipelet.api.fal.ids.input import fal_input_model
from pipelet.api.fal.proxy import Proxy
from pipelet.api.fal.result import result
from pipelet.api.fal.run import run
from pipelet.api.fal.status import status
from pipelet.api.fal.status_events import stream
from pipelet.api.fal.storage import handlers as storage
from pipelet.api.fal.submit import submit
from pipelet.api.input.schema import InputModel
from pipelet.api.routing import Route, described
from pipelet.domain.catalog import Catalog, FalId

_REQUEST = "/fal/queue/{app}/requests/{request_id}"
_CALLED = "/fal/{called:path}/requests/{request_id}"
"""A request of one of fal's ids, with or without `queue/` before it. fal's own examples keep the rest of a longer name
in these paths, also that of an app; its clients leave it out."""

STATUS = Route("GET", f"{_REQUEST}/status", status, operations.STATUS)
STATUS_OF_ID = Route("GET", f"{_CALLED}/status", status)
ROUTES = (
    STATUS,
    Route("GET", f"{_REQUEST}/status/stream", stream, operations.STREAM),
    Route("GET", _REQUEST, result, operations.RESULT),
    Route("GET", f"{_REQUEST}/response", result),
    Route("PUT", f"{_REQUEST}/cancel", cancel, operations.CANCEL),
    STATUS_OF_ID,
    Route("GET", f"{_CALLED}/status/stream", stream),
    Route("GET", _CALLED, read_output),
    Route("GET", f"{_CALLED}/response", read_output),
    Route("PUT", f"{_CALLED}/cancel", cancel),
    Route("POST", "/fal/queue/{app}", submit, operations.SUBMIT),
    Route("POST", "/fal/run/{app}", run, operations.RUN),
    Route("POST", "/fal/rest/storage/upload/initiate", storage.initiate_upload),
    Route("POST", "/fal/rest/storage/upload/initiate-multipart", storage.initiate_multipart),
    Route("POST", "/fal/rest/storage/auth/token", storage.issue_token),
    Route("PUT", "/fal/cdn/uploads/{ticket}", storage.put_file),
    Route("POST", "/fal/cdn/files/upload", storage.post_file),
    Route("POST", "/fal/cdn/files/upload/multipart", storage.refuse_multipart),
    # fal's clients put the owner of an app before its name, and `queue` is that owner here.
    Route("POST", "/fal/run/queue/{app}", run),
)
SUBMITS_TO_ID = (("/fal", submit_to_id), ("/fal/queue", submit_to_id), ("/fal/run", run_id))
"""What is before an id of fal's in the path of a submit. Each id has literal paths."""
PROXY = "/fal/proxy"
"""All methods; see `proxy`."""


def fal_routes(served: Iterable[str], fal_ids: Iterable[FalId]) -> Iterator[BaseRoute]:
    """The table. Submits to the apps and to fal's ids that are served have paths of their own."""
    for fal_id in fal_ids:
        yield from (Route("POST", f"{root}/{fal_id.name}", handler) for root, handler in SUBMITS_TO_ID)
    for route in ROUTES:
        if route.operation is not None and route.method == "POST":
            yield from (Route(route.method, route.path.format(app=app), route.endpoint) for app in served)
        yield route
    yield from (AsgiRoute(path, Proxy(), include_in_schema=False) for path in (PROXY, f"{PROXY}/"))


def describe_routes(catalog: Catalog, input_models: Mapping[str, InputModel]) -> Iterator[APIRoute]:
    """The table as OpenAPI has it: a submit for each app and each id of fal's, with its input."""
    for route in ROUTES:
        about = route.operation
        if about is not None and route.method == "POST":
            for app, model in input_models.items():
                yield described(route, route.path.format(app=app), about, submit_extra(about, model))
        elif about is not None:
            yield described(route, route.path, about, read_extra(about, catalog))
    for fal_id in catalog.served_fal_ids():
        behind, path = catalog.apps[fal_id.app], f"/fal/{fal_id.name}"
        model = fal_input_model(fal_id, behind, catalog.model_of(behind))
        extra = submit_extra(operations.SUBMIT_TO_ID, model)
        yield described(Route("POST", path, submit_to_id), path, operations.SUBMIT_TO_ID, extra)
