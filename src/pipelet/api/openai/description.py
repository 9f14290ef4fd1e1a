"""OpenAPI of OpenAI's API: written by hand, because the handlers read requests by hand."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi.routing import APIRoute
from pydantic import Field

from pipelet.api.input import ignored
from pipelet.api.input.idempotency import PARAMETER
from pipelet.api.input.schema import InputModel
from pipelet.api.openai.input import Options
from pipelet.api.openapi import SECURITY, Shape, error_responses
from pipelet.api.routing import Operation, Route, described
from pipelet.domain.catalog import EDIT, TEXT, Catalog
from pipelet.services.examples.inputs import PROMPT

TAG = "OpenAI"
_FIELDS = ("prompt", "seed", "num_inference_steps", "guidance_scale", "negative_prompt", "output_format", "priority")
"""Fields with the same name in the input of an app, next to `n`."""
_REFERENCE = {
    "type": "object",
    "properties": {"image_url": {"type": "string", "format": "uri"}},
    "required": ["image_url"],
}


@dataclass(frozen=True, slots=True)
class ImagesOperation(Operation):
    task: str = TEXT
    """That of the apps that it calls."""


class ErrorDetails(Shape):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(Shape):
    error: ErrorDetails


class ImageData(Shape):
    b64_json: str | None = None
    url: str | None = None
    seed: int


class ImagesUsage(Shape):
    """Always zero."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: dict[str, int]


class ImagesResult(Shape):
    created: int
    data: list[ImageData]
    size: str
    output_format: str
    quality: str
    background: str
    usage: ImagesUsage


class ModelItem(Shape):
    id: str
    object: str = Field(pattern="^model$")
    created: int = Field(description="Not known: 0.")
    owned_by: str


class ModelList(Shape):
    object: str = Field(pattern="^list$")
    data: list[ModelItem]


_errors = partial(error_responses, ErrorEnvelope)
_ALWAYS = _errors(
    e401="No valid key.", e403="The key lacks the scope `generate`.", e503="The service is unavailable; try again."
)
_CREATE = {
    200: {
        "description": "The images. With `stream`, server-sent events: `….partial_image`, `….completed` for each "
        "image, or `error`.",
        "model": ImagesResult,
        "headers": ignored.DESCRIPTION,
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    **_ALWAYS,
    **_errors(
        e400="The input is invalid, or the model cannot generate from it; the message has all errors.",
        e403="The key lacks the scope `generate`, or the user's files take as much space as is allowed.",
        e404="No such model; or the request was deleted before it ended.",
        e413="The body is too large.",
        e429="The key or its user has too many queued images, open calls, or submits too fast.",
        e499="The request was cancelled.",
        e500="The request failed, and `code` says how; or the service stops, and the request continues.",
        e504="The request did not start in time.",
    ),
}
GENERATE = ImagesOperation(
    "Generate images",
    "Waits for the images. A client that closes the connection cancels the request, unless it has an "
    "`Idempotency-Key`. Other fields are ignored.",
    _CREATE,
    (PARAMETER,),
    task=TEXT,
)
EDIT_IMAGES = ImagesOperation(
    "Edit images",
    "As a generation, from images: in a form, as `image` or `image[]`, or in JSON. Masks are not supported.",
    _CREATE,
    (PARAMETER,),
    task=EDIT,
)
LIST_MODELS = Operation(
    "List models",
    "The apps here, and other names that the operator gave them.",
    {200: {"description": "All models.", "model": ModelList}, **_ALWAYS},
)
SHOW_MODEL = Operation(
    "Get a model",
    "Any name that requests may give as `model`, also one that is not listed.",
    {200: {"description": "The model.", "model": ModelItem}, **_ALWAYS, **_errors(e404="No such model.")},
)


def describe_routes(
    routes: Iterable[Route], catalog: Catalog, input_models: Mapping[str, InputModel]
) -> Iterator[APIRoute]:
    """The table of routes as OpenAPI has it, with the limits of the first app of each task."""
    for route in routes:
        about = route.operation
        if about is None:
            continue
        extra: dict[str, Any] = {"tags": [TAG], "security": SECURITY, "parameters": list(about.parameters)}
        if isinstance(about, ImagesOperation):
            model = next((model for app, model in input_models.items() if catalog.apps[app].task == about.task), None)
            if model is None:
                continue  # no app here does this
            extra["requestBody"] = {"required": True, "content": _content(model, about.task)}
        elif "{model" in route.path:
            extra["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
        yield described(route, route.path.replace(":path}", "}"), about, extra)


def _content(model: InputModel, task: str) -> dict[str, Any]:
    schema = _body_schema(model)
    if task == TEXT:
        example = {"prompt": PROMPT, "size": "256x256", "n": 2}
        return {"application/json": {"schema": schema, "example": example}}
    images = {"images": {"type": "array", "items": _REFERENCE, "minItems": 1}}
    files = {"image": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}}
    return {
        "multipart/form-data": {"schema": _with(schema, files)},
        "application/json": {"schema": _with(schema, images)},
    }


def _with(schema: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {
        **schema,
        "properties": {**schema["properties"], **more},
        "required": [*schema["required"], *more],
    }


def _body_schema(model: InputModel) -> dict[str, Any]:
    of_app, own = model.model_json_schema(), Options.model_json_schema()
    fields = of_app["properties"]
    properties = {"prompt": fields["prompt"], "n": fields["batch_size"], **own["properties"]}
    properties |= {name: fields[name] for name in (*_FIELDS, "strength") if name in fields}
    return {"type": "object", "properties": properties, "required": ["prompt"], "$defs": of_app.get("$defs", {})}
