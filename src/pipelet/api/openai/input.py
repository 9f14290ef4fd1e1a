"""The fields of OpenAI's API, translated to the input of an app.

A field that is not used is ignored, and named in a header, because OpenAI's clients get new ones every few weeks.
A field that would silently make another image is refused: a mask, or one that is a typo away from a field that counts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from pipelet.api import suggestions
from pipelet.api.errors import ErrorDetail, Problem, echo, error_detail, validation_problem
from pipelet.api.input.schema import IMAGE_URL, IMAGE_URLS, InputModel, integer
from pipelet.api.openai.models import MAX_NAME_CHARS, find_app
from pipelet.domain.catalog import EDIT, App, Catalog
from pipelet.domain.generation.image import OutputFormat

MAX_PARTIAL_IMAGES = 3
SIZE_PATTERN = r"^(auto|[0-9]{1,5}x[0-9]{1,5})$"
_SIZE = re.compile(SIZE_PATTERN)

_PASSED_ON = ("prompt", "seed", "negative_prompt", "priority", "output_format", "strength")
"""Fields of the same name and meaning in the input of an app."""
_RENAMED = {
    "n": "batch_size",
    "num_inference_steps": "num_inference_steps",
    "steps": "num_inference_steps",
    "guidance_scale": "guidance_scale",
    "cfg_scale": "guidance_scale",
    "true_cfg_scale": "guidance_scale",
}
"""Names in this API, also those of vLLM-Omni and SGLang, and in the input of an app."""
_OWN = ("model", "size", "background", "output_compression", "response_format", "stream", "partial_images")
IMAGES = "image"
"""The input images in errors."""
IMAGE_FIELDS = ("images", "image", IMAGE_URLS, IMAGE_URL)
"""Names of the input images in JSON: OpenAI's, its form's, and those of the input of an app."""
_WITHOUT_EFFECT = ("quality", "style", "moderation", "user", "safety_identifier", "input_fidelity", "complexity")
_COUNT = {*_PASSED_ON, *_RENAMED, *_OWN} - {"n"}
_KNOWN = {*_COUNT, "n", *_WITHOUT_EFFECT}
UNSUPPORTED = {
    "mask": "Masks are not supported: an edit changes the whole image. Leave `mask` out.",
    "markup": "Markup is not supported: say in the prompt what to change. Leave `markup` out.",
    "lora": "LoRAs are not supported. Leave `lora` out.",
    "loras": "LoRAs are not supported. Leave `loras` out.",
}
_TO_EDITS = "This route starts from no image. Send it to /v1/images/edits."
_MAX_LOOKED_AT = 200
"""Unknown fields that are looked at for typos."""


def _check_background(value: object) -> object:
    if value == "transparent":
        raise PydanticCustomError("unsupported_parameter", "Transparent backgrounds are not supported. Send 'opaque'.")
    return value


def _read_flag(value: object) -> object:
    """A boolean, or its name, as forms have it."""
    flag = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if not isinstance(flag, bool):
        raise PydanticCustomError("bool_parsing", "Give true or false.")
    return flag


class Options(BaseModel):
    """Fields that the input of an app does not have."""

    model_config = ConfigDict(extra="ignore", defer_build=True, protected_namespaces=())

    model: Annotated[str, Field(max_length=MAX_NAME_CHARS)] | None = None
    size: Annotated[str, Field(pattern=SIZE_PATTERN)] | None = None
    background: Annotated[Literal["auto", "opaque"], BeforeValidator(_check_background)] | None = None
    output_compression: integer(0, 100) | None = None  # type: ignore[valid-type]
    response_format: Literal["url", "b64_json"] | None = None
    stream: Annotated[bool, BeforeValidator(_read_flag)] | None = None
    partial_images: integer(0, MAX_PARTIAL_IMAGES) | None = None  # type: ignore[valid-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How the images are sent."""

    with_url: bool
    with_base64: bool
    partial_images: int | None
    """Maximum number of partial images of each image; None: the response is no stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesInput:
    app: App
    fields: dict[str, Any]
    """The input of the app, not validated."""
    names: Mapping[str, str]
    """Names of the fields as they were sent, where they differ."""
    values: Mapping[str, Any]
    """More values of the request, which are no fields of its input: the quality of the files, if it is given."""
    delivery: Delivery
    ignored: Sequence[str]

    def renamed(self, problem: Problem) -> Problem:
        """The errors of the input of the app, with the names that were sent."""
        if not isinstance(problem.detail, list):
            return problem
        faults: dict[tuple[str, str], ErrorDetail] = {}
        for fault in problem.detail:
            where, *rest = fault["loc"]
            field = self.names.get(rest[0], rest[0]) if rest else ""
            # Width and height have one field, and with it one error.
            faults.setdefault((field, fault["msg"]), {**fault, "loc": [where, field, *rest[1:]]})
        return validation_problem(*faults.values())


def translate(
    catalog: Catalog, schemas: Mapping[str, InputModel], sent: Mapping[str, Any], *, task: str
) -> ImagesInput:
    """
    Args:
        sent: the fields of the body; input images are under `IMAGE_URLS` already.

    Raises:
        Problem: 404 for an unknown model; 422 for what is not supported, or looks like a typo.
    """
    given = {name: value for name, value in sent.items() if value is not None}
    options = _options(given)
    _refuse_unsupported(given, task)
    app = find_app(catalog, options.model, task)
    names: dict[str, str] = {"width": "size", "height": "size", IMAGE_URLS: IMAGES}
    fields = {name: given[name] for name in _PASSED_ON if name in given}
    for name, ours in _RENAMED.items():
        if name in given:
            if ours in fields and fields[ours] != given[name]:
                raise _fault(name, f"Give {names[ours]} or {name}, not both.", sent=given[name])
            fields[ours], names[ours] = given[name], name
    if options.size not in (None, "auto"):
        fields["width"], fields["height"] = map(int, options.size.split("x"))
    if task == EDIT:
        fields[IMAGE_URLS] = given.get(IMAGE_URLS)
    ignored = _ignored(given, options, schemas[app.name])
    quality = None if "output_compression" in ignored else options.output_compression
    return ImagesInput(
        app=app,
        fields={name: value for name, value in fields.items() if name not in ignored},
        names=names,
        values={} if quality is None else {"output_quality": quality},
        delivery=_delivery(options),
        ignored=ignored,
    )


def _options(given: Mapping[str, Any]) -> Options:
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        faults = []
        for each in error.errors(include_url=False, include_context=False):
            name = str(each["loc"][0])
            message = each["msg"]
            if name == "size":
                message = "Give a size in pixels, such as 1024x1024, or auto."
            faults.append(error_detail(["body", name], message, _kind(each["type"]), sent=given.get(name)))
        raise validation_problem(*faults) from error


def _kind(kind: str) -> str:
    return "enum" if kind in ("literal_error", "string_pattern_mismatch") else kind


def _refuse_unsupported(given: Mapping[str, Any], task: str) -> None:
    for name, message in UNSUPPORTED.items():
        if name in given:
            raise _fault(name, message, "unsupported_parameter")
    if given.get("output_format") in ("gif", "svg"):
        hint = suggestions.choice_hint(None, [str(each) for each in OutputFormat])
        raise _fault("output_format", f"This format is not supported. {hint}", "unsupported_parameter")
    if task != EDIT and (images := next((each for each in IMAGE_FIELDS if each in given), None)):
        raise _fault(images, _TO_EDITS, "unsupported_parameter")
    unknown = [name for name in given if name not in _KNOWN and name != IMAGE_URLS]
    for name in unknown[:_MAX_LOOKED_AT]:
        if meant := suggestions.one_typo_from(name, _COUNT):
            message = f"Unknown field '{echo(name)}'. Did you mean '{meant}'?"
            raise _fault(name, message, "extra_forbidden", sent=given[name])


def _ignored(given: Mapping[str, Any], options: Options, schema: InputModel) -> list[str]:
    """Names of fields that have no effect, in the order of the body."""
    ignored = {name for name in given if name not in _COUNT and name not in ("n", IMAGE_URLS)}
    ignored -= {name for name in _WITHOUT_EFFECT if given.get(name) == "auto"}
    if "strength" in given and "strength" not in schema.model_fields:
        ignored.add("strength")
    if options.output_compression is not None and given.get("output_format", OutputFormat.PNG) == OutputFormat.PNG:
        ignored.add("output_compression")
    if options.partial_images is not None and not options.stream:
        ignored.add("partial_images")
    return [name for name in given if name in ignored]


def _delivery(options: Options) -> Delivery:
    """Clients that name no format read what OpenAI sends for the model that they name."""
    name, wanted = options.model or "", options.response_format
    if wanted is None and name.startswith(("gpt-image", "chatgpt-image")):
        wanted = "b64_json"
    elif wanted is None and name.startswith("dall-e"):
        wanted = "url"
    partial_images = (options.partial_images or 0) if options.stream else None
    return Delivery(with_url=wanted != "b64_json", with_base64=wanted != "url", partial_images=partial_images)


def _fault(name: str, message: str, kind: str = "value_error", *, sent: object = None) -> Problem:
    return validation_problem(error_detail(["body", name], message, kind, sent=sent))
