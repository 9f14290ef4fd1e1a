"""Every path of OpenAI's API that is served, in one table."""

from collections.abc import Iterator, Mapping

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.routing import Route as AnyMethod

from pipelet.api.error_handlers import DescribedError
from pipelet.api.input.schema import InputModel
from pipelet.api.openai import description
from pipelet.api.openai.errors import error_response
from pipelet.api.openai.handlers import edit, generate
from pipelet.api.openai.models import list_models, show_model
from pipelet.api.openai.routing import Route
from pipelet.domain.catalog import Catalog

ROUTES = (
    Route("POST", "/v1/images/generations", generate, description.GENERATE),
    Route("POST", "/v1/images/edits", edit, description.EDIT_IMAGES),
    Route("GET", "/v1/models", list_models, description.LIST_MODELS),
    Route("GET", "/v1/models/{model:path}", show_model, description.SHOW_MODEL),
)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def openai_routes() -> Iterator[BaseRoute]:
    """The table, and what refuses the rest of `/v1` in OpenAI's envelope: clients show an empty message without it."""
    yield from ROUTES
    yield AnyMethod("/v1/{rest:path}", _refuse, methods=_METHODS, include_in_schema=False)


def describe_routes(catalog: Catalog, input_models: Mapping[str, InputModel]) -> Iterator[APIRoute]:
    return description.describe_routes(ROUTES, catalog, input_models)


async def _refuse(request: Request) -> Response:
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    served = ", ".join(f"{route.method} {route.path.replace(':path}', '}')}" for route in ROUTES)
    allowed = [route.method for route in ROUTES if route.path_regex.match(path)]
    if allowed:
        message, status = f"{request.method} is not allowed here, only {', '.join(allowed)}.", 405
    else:
        message, status = f"This part of OpenAI's API is not served. Served: {served}.", 404
    headers = {"Allow": ", ".join(allowed)} if allowed else {}
    return error_response(DescribedError.of(status, message, headers=headers))
