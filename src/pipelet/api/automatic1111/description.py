"""OpenAPI of AUTOMATIC1111's API: written by hand, because the handlers read requests by hand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from pipelet.api.automatic1111.input import DEFAULT_SIDE
from pipelet.api.input import ignored
from pipelet.api.openapi import SECURITY, Shape, error_responses
from pipelet.api.routing import Operation, Route, described

TAG = "AUTOMATIC1111"


class Automatic1111Error(Shape):
    error: str
    detail: str
    body: str
    errors: str


class TextToImage(Shape):
    """Other fields are ignored."""

    prompt: str
    negative_prompt: str = ""
    width: int = Field(DEFAULT_SIDE, description="Pixels; honoured exactly.")
    height: int = DEFAULT_SIDE
    steps: int | None = Field(None, description="The model's own number if not given.")
    cfg_scale: float | None = None
    seed: int = Field(-1, description="-1: random.")
    batch_size: int = 1
    n_iter: int = Field(1, description="Batches: `batch_size` times as many images.")
    send_images: bool = True


class ImageToImage(TextToImage):
    init_images: list[str] = Field(min_length=1, description="Base64, data: URIs, or URLs.")
    denoising_strength: float | None = Field(None, description="Share of the image that is generated again.")
    width: int | None = Field(None, description="Pixels. If not given, as the first image's.")  # type: ignore[assignment]
    height: int | None = None  # type: ignore[assignment]


class Images(Shape):
    images: list[str] = Field(description="Base64 of the files.")
    parameters: dict[str, Any]
    info: str = Field(description="JSON, with the seed of each image.")


class Png(Shape):
    image: str = Field(description="Base64 of a PNG, or a data: URI.")


class ImageInfo(Shape):
    info: str
    items: dict[str, str]
    parameters: dict[str, Any]


class ProgressState(Shape):
    skipped: bool
    interrupted: bool
    stopping_generation: bool
    job: str
    job_count: int
    job_timestamp: str
    job_no: int
    sampling_step: int
    sampling_steps: int


class ProgressReport(Shape):
    progress: float = Field(ge=0, le=1)
    eta_relative: float = Field(ge=0, description="Seconds until the end, as predicted.")
    state: ProgressState
    current_image: str | None = Field(description="A preview, as Base64 of a WebP.")
    textinfo: str | None


_errors = partial(error_responses, Automatic1111Error)
_ALWAYS = _errors(
    e401="No valid key.",
    e403="The key lacks the scope `generate`, or Basic came from a web page.",
    e503="The service is unavailable; try again.",
)


@dataclass(frozen=True, slots=True)
class JsonOperation(Operation):
    body: type[BaseModel] | None = None
    """Schema of the JSON body; None if it has no body."""


def _operation(
    summary: str, about: str, model: Any = None, *, body: type[BaseModel] | None = None, **more: Any
) -> JsonOperation:
    success = {"description": f"{summary}.", "model": model or dict[str, Any]}
    return JsonOperation(summary, about, {200: success, **_ALWAYS}, body=body, **more)


def _create(summary: str, about: str, body: type[BaseModel]) -> JsonOperation:
    responses = {
        200: {"description": "The images.", "model": Images, "headers": ignored.DESCRIPTION},
        **_ALWAYS,
        **_errors(
            e400="The body is no JSON object, or the model cannot generate from it.",
            e404="No such checkpoint; or the request was deleted before it ended.",
            e413="The body is too large.",
            e422="The input is invalid; the message has all errors.",
            e429="The key or its user has too many queued images, open calls, or submits too fast.",
            e499="The request was cancelled before it had an image.",
            e500="The request failed; or the service stops, and the request continues.",
            e504="The request did not start in time.",
        ),
    }
    return JsonOperation(summary, about, responses, body=body)


TEXT_TO_IMAGE = _create(
    "Text to image",
    "Waits for the images. A client that closes the connection cancels the request.",
    TextToImage,
)
IMAGE_TO_IMAGE = _create("Image to image", "As text to image, from an image.", ImageToImage)
PROGRESS = _operation(
    "Progress",
    "Of your newest request through this API.",
    ProgressReport,
    parameters=(
        {
            "name": "skip_current_image",
            "in": "query",
            "required": False,
            "schema": {"type": "boolean"},
            "description": "Whether to leave out the preview.",
        },
    ),
)
INTERRUPT = _operation("Interrupt", "Cancel your newest request through this API. Its caller gets what is finished.")
OPTIONS = _operation("Options", "The checkpoint that is used unless a call names another.")
SET_OPTIONS = _operation("Set options", "Changes nothing. A call names its checkpoint in `override_settings`.")
CHECKPOINTS = _operation("Checkpoints", "The models here.", list[dict[str, Any]])
SAMPLERS = _operation("Samplers", "The one that the model was made for.", list[dict[str, Any]])
SCHEDULERS = _operation("Schedulers", "The one that the model was made for.", list[dict[str, Any]])
UPSCALERS = _operation("Upscalers", "None: ask for the size that you need.", list[dict[str, Any]])
NOTHING = _operation("Empty list", "There are none to choose from.", list[dict[str, Any]])
PNG_INFO = _operation("PNG info", "The parameters inside a PNG that was generated here.", ImageInfo, body=Png)


def describe_routes(routes: Iterable[Route]) -> Iterator[APIRoute]:
    for route in routes:
        about = route.operation
        if not isinstance(about, JsonOperation):
            continue
        extra: dict[str, Any] = {"tags": [TAG], "security": SECURITY, "parameters": list(about.parameters)}
        if about.body is not None:
            content = {"application/json": {"schema": about.body.model_json_schema()}}
            extra["requestBody"] = {"required": True, "content": content}
        yield described(route, route.path, about, extra)
