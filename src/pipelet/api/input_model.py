"""The shape of the input of each app. It is read through this model, which is also its description."""

import math
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, create_model
from pydantic_core import PydanticCustomError

from pipelet.api import near_misses
from pipelet.api.json_values import name_of
from pipelet.api.numerals import decimal_pattern, read_decimal, read_whole, whole_pattern
from pipelet.domain.catalog import Limits, Model
from pipelet.domain.image import OutputFormat

MAX_SEED = 2**53 - 1
MIN_PRIORITY, MAX_PRIORITY = -(2**31), 2**31 - 1

InputModel = type[BaseModel]
"""What `input_model` makes; its fields are those of `ImageSpec`, `priority`, and the references of an edit."""


def input_model(limits: Limits, model: Model) -> InputModel:
    """The input of an app. Validate what a JSON parser returned, without nulls, with what the key allows as
    context: `max_priority` and `max_batch`."""
    return _model("TextToImageInput", _fields(limits, model), {"examples": [EXAMPLE]})


def edit_input_model(limits: Limits, model: Model) -> InputModel:
    """The input of an image-edit app: that of text-to-image, the pictures, and `strength` where the model takes one.

    Whether there are pictures at all is for the caller to check: either of two fields may name them.
    """
    most = min(MAX_REFERENCES, model.max_references)
    side = _whole(limits.min_side, limits.max_side)
    size = "Pixels; honoured exactly. If not given, as the first picture's, or of its aspect ratio."
    fields = _fields(limits, model) | {
        "width": (side, Field(None, description=size)),
        "height": (side, Field(None, description=size)),
        IMAGE_URLS: (
            _urls(most),
            Field(
                None, description=f"The pictures to edit, the first one first: 1 to {most}. https: URLs, or data: URIs."
            ),
        ),
        IMAGE_URL: (_url(), Field(None, description=f"In place of `{IMAGE_URLS}`, where there is one picture.")),
    }
    if model.strength > 0:
        about = "How much of the picture is drawn anew: above 0, which would leave it as it is, to 1."
        fields["strength"] = (_share(), Field(model.strength, description=about))
    either: dict[str, Any] = {"anyOf": [{"required": [IMAGE_URLS]}, {"required": [IMAGE_URL]}]}
    return _model("ImageEditInput", fields, either | {"examples": [EDIT_EXAMPLE]})


def _fields(limits: Limits, model: Model) -> dict[str, Any]:
    side = _whole(limits.min_side, limits.max_side)
    prompt = f"What to draw: 1 to {limits.max_prompt_chars} characters, not blank, without NUL."
    return {
        "prompt": (_text(limits, model, blank=False), Field(description=prompt)),
        "width": (side, Field(limits.default_side, description="Pixels; honoured exactly.")),
        "height": (side, Field(limits.default_side, description="Pixels; honoured exactly.")),
        "priority": (_priority(), Field(None, description="Larger runs sooner; first come, first served within one.")),
        "batch_size": (_batch(limits.max_batch), Field(1, description="How many images.")),
        "seed": (_whole(0, MAX_SEED), Field(None, description="Image k uses seed + k. Drawn if not given.")),
        "num_inference_steps": (
            _whole(1, limits.max_steps),
            Field(model.num_inference_steps, description="Denoising steps; more take longer."),
        ),
        "guidance_scale": (
            _decimal(limits.max_guidance),
            Field(model.guidance_scale, description="How closely to follow the prompt; 0 turns guidance off."),
        ),
        "negative_prompt": (_text(limits, model, blank=True), Field(None, description="What to avoid.")),
        "output_format": (_output_format(), Field(OutputFormat.PNG, description="The files' format.")),
    }


def _model(title: str, fields: dict[str, Any], more: dict[str, Any]) -> InputModel:
    config = ConfigDict(title=title, extra="forbid", json_schema_extra=more)
    return create_model(title, __config__=config, **fields)


IMAGE_URLS, IMAGE_URL = "image_urls", "image_url"
MAX_REFERENCES = 8
"""Of one request, whatever its model could take."""
_MAX_URL = 8192
"""Characters of a URL that is to be fetched."""

_RED_CIRCLE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQMAAACQp+OdAAAABlBMVEWq0PDQICg/y1vRAAAAfklEQVR42s3QsQ3CQBSD4e9eIlHC"
    "CGGTYyNGvFFSUqagSBHlKE5AkFIhClxZv+3G/LGOMwLXQwOp1kIQDK1S60xwon/yVsikNgcdBamEBPkdRbPDlrxMD6fd6DuzwLQb"
    "rTBuSYWiQ+bysSpUgpGVYGIhuHMjWBnpIJ83r/5KD5HoGtK+o3FIAAAAAElFTkSuQmCC"
)
"""On light blue, 64x64 pixels: an example that needs no network."""
EXAMPLE: dict[str, Any] = {
    "prompt": "a red apple on a light blue background",
    "width": 256,
    "height": 256,
    "batch_size": 2,
}
"""Like that of an edit, one that the demonstration model draws well: /docs sends it as it is."""
EDIT_EXAMPLE: dict[str, Any] = {
    "prompt": "a green apple on a light blue background",
    "image_urls": [_RED_CIRCLE],
    "width": 256,
    "height": 256,
}
"""Of one picture, which every model takes."""


def _whole(low: int, high: int) -> Any:
    number = {"type": "integer", "minimum": low, "maximum": high}
    digits = {"type": "string", "pattern": whole_pattern(low, high)}
    return Annotated[int, Field(ge=low, le=high), BeforeValidator(_read_whole), _any_of(number, digits)]


def _batch(high: int) -> Any:
    number = {"type": "integer", "minimum": 1, "maximum": high}
    digits = {"type": "string", "pattern": whole_pattern(1, high)}
    return Annotated[
        int,
        BeforeValidator(_under_batch_ceiling),
        Field(ge=1, le=high),
        BeforeValidator(_read_whole),
        _any_of(number, digits),
    ]


def _decimal(high: float) -> Any:
    number = {"type": "number", "minimum": 0, "maximum": high}
    digits = {"type": "string", "pattern": decimal_pattern(math.floor(high))}
    return Annotated[float, Field(ge=0, le=high), BeforeValidator(_read_decimal), _any_of(number, digits)]


def _share() -> Any:
    number = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    digits = {"type": "string", "pattern": decimal_pattern(1)}
    return Annotated[float, Field(gt=0, le=1), BeforeValidator(_read_decimal), _any_of(number, digits)]


def _urls(most: int) -> Any:
    schema = {"type": "array", "items": _URL_SCHEMA, "minItems": 1, "maxItems": most}

    def read(value: object) -> list[Any]:
        if not isinstance(value, list):
            raise PydanticCustomError("list_type", "Give a list of URLs; this is {found}.", {"found": name_of(value)})
        if not value:
            raise PydanticCustomError("sequence_too_short", "Name at least one picture.")
        if len(value) > most:
            found = {"max_length": most, "length": len(value)}
            message = "This app takes at most {max_length} pictures a request; there are {length}."
            if most == 1:
                message = "The model of this app takes one picture; there are {length}."
            raise PydanticCustomError("sequence_too_long", message, found)
        return value

    return Annotated[list[Annotated[str, BeforeValidator(_read_url)]], BeforeValidator(read), _any_of(schema)]


def _url() -> Any:
    return Annotated[str, BeforeValidator(_read_url), _any_of(_URL_SCHEMA)]


_URL_SCHEMA: dict[str, Any] = {"type": "string", "format": "uri"}
_FETCHED = re.compile(r"https?://[!-~]+", re.IGNORECASE)
"""Of printable ASCII: whatever else a URL means has to be escaped."""


def _read_url(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Give a URL; this is {found}.", {"found": name_of(value)})
    if value[:5].lower() == "data:":
        return value
    if len(value) > _MAX_URL:
        raise PydanticCustomError("string_too_long", "A URL may have {most} characters.", {"most": _MAX_URL})
    if not _FETCHED.fullmatch(value):
        message = "Give a URL that begins with https://, http:// or data:, without blanks."
        raise PydanticCustomError("url_parsing", message)
    return value


def _priority() -> Any:
    number = {"type": "integer", "minimum": MIN_PRIORITY, "maximum": MAX_PRIORITY}
    digits = {"type": "string", "pattern": whole_pattern(MIN_PRIORITY, MAX_PRIORITY)}
    limits = Field(ge=MIN_PRIORITY, le=MAX_PRIORITY)
    return Annotated[
        int, BeforeValidator(_under_ceiling), limits, BeforeValidator(_read_whole), _any_of(number, digits)
    ]


def _text(limits: Limits, model: Model, *, blank: bool) -> Any:
    low = 0 if blank else 1

    def read(value: object) -> str:
        if isinstance(value, str):
            _check_length(value, limits.max_prompt_chars)  # first: what follows looks at every character
        text = _clean_text(value)
        if not blank and not text.strip():
            raise PydanticCustomError("blank_prompt", "Say what to draw; this is blank.")
        _check_marks(text, model.reserved_text)
        return text

    schema: dict[str, Any] = {"type": "string", "minLength": low, "maxLength": limits.max_prompt_chars}
    schema["pattern"] = _CLEAN if blank else _CLEAN_NOT_BLANK
    if model.reserved_text:
        schema["not"] = {"pattern": "|".join(map(re.escape, model.reserved_text))}
    return Annotated[str, BeforeValidator(read), _any_of(schema) if blank else WithJsonSchema(schema)]


_UNCLEAN = re.compile(r"[\u0000\ud800-\udfff]")  # no database stores NUL in a text, none lone surrogates as UTF-8
_CLEAN = r"^[^\u0000]*$"
# Python's blanks are some more than those of JSON Schema's regular expressions.
_CLEAN_NOT_BLANK = r"^[^\u0000]*[^\s\u001c-\u001f\u0085\u0000][^\u0000]*$"


def _output_format() -> Any:
    values = [str(each) for each in OutputFormat]

    def read(value: object) -> object:
        if value not in values:
            raise PydanticCustomError("enum", "{hint}", {"hint": near_misses.of_choice(value, values)})
        return value

    return Annotated[OutputFormat, BeforeValidator(read), _any_of({"type": "string", "enum": values})]


def _any_of(*schemas: dict[str, Any]) -> WithJsonSchema:
    """Null counts as absent, so optional fields take it."""
    return WithJsonSchema({"anyOf": [*schemas, {"type": "null"}]})


def _read_whole(value: object) -> int:
    match value:
        case bool():
            whole = None
        case int():
            whole = value
        case float() if value.is_integer():
            whole = int(value)
        case str():
            whole = read_whole(value)
        case _:
            whole = None
    if whole is None:
        raise PydanticCustomError("int_parsing", 'Give a whole number, such as 8 or "8".')
    return whole


def _read_decimal(value: object) -> float:
    match value:
        case bool():
            number = None
        case int() | float():
            number = _as_float(value)
        case str():
            number = read_decimal(value)
        case _:
            number = None
    if number is None:
        raise PydanticCustomError("float_parsing", 'Give a number, such as 4.5 or "4.5".')
    return number


def _as_float(value: int | float) -> float | None:
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # out of any range, and refused as that


def _under_ceiling(value: int, info: ValidationInfo) -> int:
    ceiling = (info.context or {}).get("max_priority")
    if ceiling is not None and value > ceiling:
        message = "This key may not ask for more than {max_priority}."
        raise PydanticCustomError("priority_ceiling", message, {"max_priority": ceiling})
    return value


def _under_batch_ceiling(value: int, info: ValidationInfo) -> int:
    """Such a batch would never be taken, or never begin: it is refused for good, not as a limit that is reached now."""
    ceiling = (info.context or {}).get("max_batch")
    if ceiling is not None and value > ceiling:
        message = "This key may not have more than {max_batch} images at once."
        raise PydanticCustomError("batch_ceiling", message, {"max_batch": ceiling})
    return value


def _clean_text(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Give a text; this is {found}.", {"found": name_of(value)})
    unclean = _UNCLEAN.search(value)
    if unclean is not None:
        found = {"code": f"U+{ord(unclean[0]):04X}", "position": unclean.start()}
        raise PydanticCustomError("no_text", "Character {position} is {code}, which is no text.", found)
    return value


def _check_length(text: str, limit: int) -> None:
    if len(text) > limit:
        found = {"max_length": limit, "length": len(text)}
        message = "At most {max_length} characters are allowed; this has {length}."
        raise PydanticCustomError("string_too_long", message, found)


def _check_marks(text: str, marks: tuple[str, ...]) -> None:
    for mark in marks:
        if mark in text:
            message = "The text {mark} has a meaning of its own to the model and cannot be part of a prompt."
            raise PydanticCustomError("reserved_text", message, {"mark": mark})
