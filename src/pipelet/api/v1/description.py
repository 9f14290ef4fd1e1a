"""OpenAPI of `/api/v1`, built from the models that its handlers read requests with."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel

from pipelet.api.openapi import SECURITY
from pipelet.api.routing import Operation, Route, described
from pipelet.api.v1.schemas import ErrorBody
from pipelet.domain.ids import REQUEST_ID_PATTERN

TAG = "Pipelet"

_ERRORS = {
    401: "No valid key.",
    403: "The key lacks a scope; the message names it.",
    404: "It does not exist, or belongs to another user.",
    409: "The state of the request rules this out.",
    413: "The body is too large.",
    422: "The input is invalid; the response lists all errors.",
    503: "The service is unavailable; try again.",
}
_ALWAYS = (401, 403, 503)
_PATH_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_PATH_SCHEMAS: dict[str, dict[str, Any]] = {
    "request_id": {"type": "string", "pattern": REQUEST_ID_PATTERN, "examples": ["rn5r12q9pdu6yvb3nxty"]},
    "upload_id": {"type": "string", "pattern": REQUEST_ID_PATTERN},
    "number": {"type": "integer", "minimum": 0},
}


@dataclass(frozen=True, slots=True)
class V1Operation(Operation):
    """What OpenAPI says about a route."""

    query: type[BaseModel] | None = None
    """The parameters that `read_query` reads."""
    body: type[BaseModel] | None = None
    """The body that `read_body` reads."""
    content: dict[str, Any] | None = None
    """OpenAPI's `content` of a body that is not JSON."""


def operation(
    summary: str,
    description: str = "",
    *,
    answer: type[BaseModel] | str = "",
    status: int = 200,
    errors: Iterable[int] = (),
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    content: dict[str, Any] | None = None,
    sent: dict[str, Any] | None = None,
    headers: Iterable[dict[str, Any]] = (),
    others: Mapping[int, str] | None = None,
) -> V1Operation:
    """Describe a route.

    Args:
        answer: the model of its response, or what the response is.
        status: that of a success.
        errors: statuses that it may have next to 401, 403 and 503, and next to 422 where it reads a query or a body.
        content: OpenAPI's `content` of a success that is not JSON.
        sent: OpenAPI's `content` of a body that is not JSON.
        headers: OpenAPI's parameters for the headers that it reads.
        others: further statuses without a body, and what they mean.
    """
    statuses = {*_ALWAYS, *errors}
    if query is not None or body is not None or sent is not None:
        statuses.add(422)
    if body is not None or sent is not None:
        statuses |= {400, 413}
    responses: dict[int | str, dict[str, Any]] = {
        code: {"model": ErrorBody, "description": _ERRORS.get(code, HTTPStatus(code).phrase + ".")}
        for code in sorted(statuses)
    }
    responses |= {code: {"description": meaning} for code, meaning in (others or {}).items()}
    success: dict[str, Any] = {"description": answer if isinstance(answer, str) and answer else f"{summary}."}
    if not isinstance(answer, str):
        success["model"] = answer
    if content is not None:
        success["content"] = content
    return V1Operation(
        summary,
        description or summary,
        {status: success, **responses},
        tuple(headers),
        status,
        query=query,
        body=body,
        content=sent,
    )


def describe_routes(routes: Iterable[Route]) -> Iterator[APIRoute]:
    """The table of routes as OpenAPI has it."""
    for route in routes:
        about = route.operation
        if isinstance(about, V1Operation):
            path = re.sub(r":path\}", "}", route.path)
            yield described(route, path, about, _extra(route.path, about))


def _extra(path: str, about: V1Operation) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS.get(name, {"type": "string"})}
        for name in _PATH_PARAMETER.findall(path)
    ]
    parameters += about.parameters
    extra: dict[str, Any] = {"tags": [TAG], "security": SECURITY}
    if about.query is not None:
        parameters += _query_parameters(about.query)
    if about.body is not None:
        schema = _without_null(inline_definitions(about.body.model_json_schema()))
        content = {"application/json": {"schema": schema}}
        extra["requestBody"] = {"required": True, "content": content}
    if about.content is not None:
        extra["requestBody"] = {"required": True, "content": about.content}
    return extra | {"parameters": parameters}


def _query_parameters(model: type[BaseModel]) -> Iterator[dict[str, Any]]:
    schema = _without_null(inline_definitions(model.model_json_schema()))
    for name, field in schema["properties"].items():
        about = field.pop("description", "")
        field.pop("title", None)
        # Swagger UI fills in a default, and "Execute" sends it.
        field.pop("default", None)
        is_required = name in schema.get("required", ())
        yield {"name": name, "in": "query", "required": is_required, "schema": field, "description": about}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object without null as a choice of its fields: null counts as absent."""
    properties = schema.get("properties", {})
    for name, field in properties.items():
        choices = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
        if len(choices) == 1:
            kept = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
            properties[name] = _without_null(choices[0]) | kept
    return schema


def inline_definitions(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without `$defs`, which a fragment of another document cannot refer to."""
    definitions = schema.pop("$defs", {})

    def inline(value: Any) -> Any:
        if isinstance(value, list):
            return [inline(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return inline(definitions[value["$ref"].rpartition("/")[2]])
        return {name: inline(each) for name, each in value.items()}

    found: dict[str, Any] = inline(schema)
    return found
