"""Input schema of each app: the model that validates a body, and the description of it in OpenAPI."""

import math
import re
from functools import cache
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError

from pipelet.api import suggestions
from pipelet.api.errors import name_of
from pipelet.domain.catalog import EDIT, App, AppLimits, ModelConfig
from pipelet.domain.generation.image import OutputFormat
from pipelet.domain.jobs.job import MAX_PRIORITY, MIN_PRIORITY
from pipelet.services.examples.inputs import example_input
from pipelet.services.requests.submit import MAX_SEED

IMAGE_URLS, IMAGE_URL = "image_urls", "image_url"
MAX_INPUT_IMAGES = 8
"""Maximum number of input images of a request, whatever its model takes."""
_MAX_URL_CHARS = 8192

InputModel = type[BaseModel]
"""The fields of `ImageSpec`, `priority`, and the image URLs of an edit. It validates the fields that are not null, with
the ceilings of the key as context: `max_priority` with `max_priority_command`, and `max_batch`."""

_MESSAGES = {
    "int_parsing": 'Give a whole number, such as 8 or "8".',
    "float_parsing": 'Give a number, such as 4.5 or "4.5".',
    "priority_ceiling": "This key may not ask for more than {most}. The operator raises that with `{command}`.",
    "batch_ceiling": "This key may not have more than {most} images at once.",
    "string_type": "Give {wanted}; this is {found}.",
    "string_too_long": "At most {max_length} characters are allowed; this has {length}.",
    "no_text": "Character {position} is {code}, which is not text.",
    "blank_prompt": "The prompt is blank. Describe the image.",
    "reserved_text": "The model reserves the text {token}; it cannot be part of a prompt.",
    "list_type": "Give a list of URLs; this is {found}.",
    "sequence_too_short": "Give at least one image.",
    "sequence_too_long": "This app takes at most {most} a request; there are {length}.",
    "url_parsing": "Give a URL that begins with https://, http:// or data:, without blanks.",
    "enum": "{hint}",
}
"""Messages by error type, next to Pydantic's own for `missing` and for numbers out of range."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,400}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?")
_NOT_TEXT = re.compile(r"[\u0000\ud800-\udfff]")  # databases store neither NUL nor lone surrogates
_TEXT = r"^[^\u0000]*$"
# Python's whitespace is a little more than that of JSON Schema's regular expressions.
_TEXT_NOT_BLANK = r"^[^\u0000]*[^\s\u001c-\u001f\u0085\u0000][^\u0000]*$"
_HTTP_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)  # other characters have to be percent-encoded


@cache
def input_model(app: App, model: ModelConfig) -> InputModel:
    """The input schema of an app.

    Whether an edit names images at all is for the caller to check: either of two fields may name them.
    """
    is_edit = app.task == EDIT
    extra = {"anyOf": [{"required": [IMAGE_URLS]}, {"required": [IMAGE_URL]}]} if is_edit else {}
    extra["examples"] = [example_input(app, model)]

    def complete(schema: dict[str, Any]) -> None:
        schema |= extra
        for field in schema["properties"].values():
            if field.get("default", ...) is None:  # null counts as absent
                del field["default"]

    title = "ImageEditInput" if is_edit else "TextToImageInput"
    config = ConfigDict(title=title, extra="forbid", json_schema_extra=complete)
    return create_model(title, __config__=config, **input_fields(app, model))


def input_fields(app: App, model: ModelConfig) -> dict[str, Any]:
    """The type and the default of each field of an app's input, as `create_model` takes them."""
    is_edit = app.task == EDIT
    return _fields(app.limits, model, is_edit=is_edit) | (_image_fields(model) if is_edit else {})


def _fields(limits: AppLimits, model: ModelConfig, *, is_edit: bool) -> dict[str, Any]:
    steps = integer(1, limits.max_steps)
    priority = integer(MIN_PRIORITY, MAX_PRIORITY, _ceiling("priority_ceiling", "max_priority"))
    # A larger batch would never be accepted, or never start: it is refused for good, not until there is room.
    batch = integer(1, limits.max_batch, _ceiling("batch_ceiling", "max_batch"))
    prompt = f"What to generate: 1 to {limits.max_prompt_chars} characters, not blank, without NUL."
    side, default_side = integer(limits.min_side, limits.max_side) | None, None if is_edit else limits.default_side
    about_side = "Pixels; honoured exactly."
    if is_edit:
        about_side += " If not given, as the first image's, or of its aspect ratio."
    return {
        "prompt": (_text(limits, model, blank=False), Field(description=prompt)),
        "width": (side, Field(default_side, description=about_side)),
        "height": (side, Field(default_side, description=about_side)),
        "priority": (
            priority | None,
            Field(None, description="Larger starts sooner; first come, first served within one."),
        ),
        "batch_size": (batch | None, Field(1, description="Number of images.")),
        "seed": (integer(0, MAX_SEED) | None, Field(None, description="Image k uses seed + k. Random if not given.")),
        "num_inference_steps": (
            steps | None,
            Field(model.num_inference_steps, description="Denoising steps; more take longer."),
        ),
        "guidance_scale": (
            _decimal(Field(ge=0, le=limits.max_guidance)) | None,
            Field(model.guidance_scale, description="How closely to follow the prompt; 0 turns guidance off."),
        ),
        "negative_prompt": (_text(limits, model, blank=True) | None, Field(None, description="What to avoid.")),
        "output_format": (_FORMAT | None, Field(OutputFormat.PNG, description="The files' format.")),
    }


def _image_fields(model: ModelConfig) -> dict[str, Any]:
    most = min(MAX_INPUT_IMAGES, model.max_input_images)
    urls = Annotated[list[ImageUrl], Field(min_length=1, max_length=most), BeforeValidator(_check_list(most))]
    about_urls = f"The images to edit, the first one first: 1 to {most}. https: URLs, or data: URIs."
    fields: dict[str, Any] = {
        IMAGE_URLS: (urls | None, Field(None, description=about_urls)),
        IMAGE_URL: (ImageUrl | None, Field(None, description=f"In place of `{IMAGE_URLS}`, for a single image.")),
    }
    if model.strength > 0:
        about = "How much of the image is generated again: above 0, which would leave it as it is, to 1."
        fields["strength"] = (_decimal(Field(gt=0, le=1)) | None, Field(model.strength, description=about))
    return fields


def _error(kind: str, **context: Any) -> PydanticCustomError:
    return PydanticCustomError(kind, _MESSAGES[kind], context)


def integer(low: int, high: int, *more: Any) -> Any:
    # The last one runs first: a number is read, a ceiling of the key is checked, and then the bounds of the app.
    return Annotated[int, Field(ge=low, le=high), *more, BeforeValidator(_read_integer)]


def _decimal(bounds: Any) -> Any:
    return Annotated[float, bounds, BeforeValidator(_read_decimal)]


def _read_integer(value: object) -> object:
    """Pydantic's lax mode, without booleans, blanks, underscores and digits of other scripts."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise _error("int_parsing")
    return value


def _read_decimal(value: object) -> float:
    """As `_read_integer`, also without infinities."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) == math.inf:
        raise _error("float_parsing")
    try:
        return float(value)
    except OverflowError:  # an integer outside of any bounds
        return math.inf if value > 0 else -math.inf


def _ceiling(kind: str, name: str) -> BeforeValidator:
    """Refuses what the key does not allow; `name` is the ceiling in the validation context."""

    def check(value: int, info: ValidationInfo) -> int:
        most = (info.context or {}).get(name)
        if most is not None and value > most:
            raise _error(kind, most=most, command=(info.context or {}).get(f"{name}_command", ""))
        return value

    return BeforeValidator(check)


def _text(limits: AppLimits, model: ModelConfig, *, blank: bool) -> Any:
    schema: dict[str, Any] = {"pattern": _TEXT if blank else _TEXT_NOT_BLANK}
    if model.special_tokens:
        schema["not"] = {"pattern": "|".join(map(re.escape, model.special_tokens))}
    length = Field(min_length=0 if blank else 1, max_length=limits.max_prompt_chars, json_schema_extra=schema)

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise _error("string_type", wanted="a text", found=name_of(value))
        if len(value) > limits.max_prompt_chars:  # first: the other checks read every character
            raise _error("string_too_long", max_length=limits.max_prompt_chars, length=len(value))
        if bad := _NOT_TEXT.search(value):
            raise _error("no_text", code=f"U+{ord(bad[0]):04X}", position=bad.start())
        if not blank and not value.strip():
            raise _error("blank_prompt")
        for token in model.special_tokens:
            if token in value:
                raise _error("reserved_text", token=token)
        return value

    return Annotated[str, length, BeforeValidator(check)]


def _check_list(most: int) -> Any:
    def check(value: object) -> list[Any]:
        if not isinstance(value, list):
            raise _error("list_type", found=name_of(value))
        if not value:
            raise _error("sequence_too_short")
        if len(value) > most:
            raise _error("sequence_too_long", most="1 image" if most == 1 else f"{most} images", length=len(value))
        return value

    return check


def _check_url(value: object) -> str:
    if not isinstance(value, str):
        raise _error("string_type", wanted="a URL", found=name_of(value))
    if value[:5].lower() == "data:":
        return value
    if len(value) > _MAX_URL_CHARS:
        raise _error("string_too_long", max_length=_MAX_URL_CHARS, length=len(value))
    if not _HTTP_URL.fullmatch(value):
        raise _error("url_parsing")
    return value


def _check_format(value: object) -> object:
    values = [str(each) for each in OutputFormat]
    if value not in values:
        raise _error("enum", hint=suggestions.choice_hint(value, values))
    return value


ImageUrl = Annotated[str, BeforeValidator(_check_url), WithJsonSchema({"type": "string", "format": "uri"})]
_FORMAT = Annotated[
    OutputFormat,
    BeforeValidator(_check_format),
    WithJsonSchema({"type": "string", "enum": [str(each) for each in OutputFormat]}),
]
