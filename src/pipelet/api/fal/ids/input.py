"""The input of an id of fal's, translated to that of the app behind it.

The fields that both have are validated as the app's own. Others are ignored, unless that gave another image.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, create_model
from pydantic_core import PydanticCustomError

from pipelet.api import suggestions
from pipelet.api.errors import name_of, validation_problem
from pipelet.api.input.parse import Loc, ceilings, field_errors
from pipelet.api.input.schema import IMAGE_URL, IMAGE_URLS, ImageUrl, InputModel, input_fields
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.catalog import EDIT, App, FalId, ModelConfig
from pipelet.domain.generation.sizes import Size
from pipelet.services.examples.inputs import PROMPT, example_input
from pipelet.services.requests.submit import RequestInput

IMAGE_SIZES = {
    "square_hd": Size(1024, 1024),
    "square": Size(512, 512),
    "portrait_4_3": Size(768, 1024),
    "portrait_16_9": Size(576, 1024),
    "landscape_4_3": Size(1024, 768),
    "landscape_16_9": Size(1024, 576),
}
"""fal's names of sizes."""
AUTO = "auto"
"""The size of the input image."""
DEFAULT_SIZE, DEFAULT_SIDE = "landscape_4_3", 512
NO_EFFECT = ("acceleration", "enable_prompt_expansion", "enable_safety_checker")
"""Fields of fal's that change nothing here."""
_MASKS = ("mask", "mask_image_url", "mask_url")
_EMPTY: tuple[Any, ...] = ("", [], {})
"""Values of a field that is refused otherwise."""
_RENAMED = {"num_images": "batch_size"}
_SAME = ("prompt", "seed", "num_inference_steps", "output_format")
_OF_GUIDANCE = ("guidance_scale", "negative_prompt")
_PASSED_ON = {*_SAME, *_OF_GUIDANCE, *_RENAMED, "strength"}


def parse_fal_input(
    fields: Mapping[str, Any], fal_id: FalId, app: App, model: ModelConfig, key: ApiKey, *, loc: Loc = ("body",)
) -> tuple[RequestInput, list[str]]:
    """The input, and the names of the fields that change nothing.

    Raises:
        Problem: 422 with all errors.
    """
    schema = fal_input_model(fal_id, app, model)
    given = {name: value for name, value in fields.items() if value is not None}
    known = {name: value for name, value in given.items() if name in schema.model_fields}
    try:
        parsed = schema.model_validate(known, context=ceilings(key))
    except ValidationError as error:
        raise validation_problem(*field_errors(error, known, loc)) from error
    found = vars(parsed)
    values = {_RENAMED.get(name, name): found[name] for name in found if name in _PASSED_ON}
    size = found["image_size"]
    values |= {"width": None, "height": None} if size is None else vars(size)
    defaults = {"guidance_scale": fal_id.guidance_scale or model.guidance_scale, "negative_prompt": None}
    urls = [found[IMAGE_URL]] if app.task == EDIT else []
    request = RequestInput(
        fields=fields, priority=None, image_urls=urls, values=defaults | values, inline_images=found["sync_mode"]
    )
    return request, [name for name in given if name not in known or name in NO_EFFECT]


@cache
def fal_input_model(fal_id: FalId, app: App, model: ModelConfig) -> InputModel:
    """The input schema of an id. It validates the fields that are not null, in the context that an app's own has."""
    ours, is_edit = input_fields(app, model), app.task == EDIT
    fields: dict[str, Any] = {name: ours[name] for name in _SAME}
    fields["num_images"] = ours["batch_size"]
    fields["image_size"] = (_size_type(ours, is_edit=is_edit), Field(_default_size(is_edit), validate_default=True))
    fields["sync_mode"] = (bool, Field(False, description="The output holds the images, and the request no prompt."))
    if fal_id.takes_guidance:
        fields |= {name: ours[name] for name in _OF_GUIDANCE}
    if is_edit:
        fields[IMAGE_URL] = (ImageUrl, Field(description="The image to start from."))
        fields |= {name: ours[name] for name in ("strength",) if name in ours}
    else:
        fields |= {name: _refused(_no_image(name)) for name in (IMAGE_URL, IMAGE_URLS)}
    fields |= {name: _refused(f"Masks are not supported. Leave `{name}` out.") for name in _MASKS}
    fields["loras"] = _refused("No LoRA is served here: the image would be another one. Leave `loras` out.")
    fields |= {name: (Any, Field(None, description="Accepted, without effect.")) for name in NO_EFFECT}
    for name in ("num_inference_steps", "guidance_scale", "strength"):
        default = getattr(fal_id, name)
        if default is not None and name in fields:
            kind, about = fields[name]
            fields[name] = (kind, Field(default, description=about.description))
    example = (
        {IMAGE_URL: example_input(app, model)[IMAGE_URLS][0]} if is_edit else {"image_size": "square", "num_images": 2}
    )

    def complete(schema: dict[str, Any]) -> None:
        schema["examples"] = [{"prompt": PROMPT, **example}]
        for field in schema["properties"].values():
            if field.get("default", ...) is None:  # null counts as absent
                del field["default"]

    return create_model("FalInput", __config__=ConfigDict(extra="ignore", json_schema_extra=complete), **fields)


def _default_size(is_edit: bool) -> str:
    return AUTO if is_edit else DEFAULT_SIZE


def _size_type(ours: Mapping[str, Any], *, is_edit: bool) -> Any:
    """A name, or an object with `width` and `height`; None stands for that of the input image."""
    side = (ours["width"][0], Field(DEFAULT_SIDE, validate_default=True))
    shape: type[BaseModel] = create_model("ImageSize", __config__=ConfigDict(extra="ignore"), width=side, height=side)
    names = [*IMAGE_SIZES, AUTO] if is_edit else [*IMAGE_SIZES]

    def read(value: object) -> object:
        if isinstance(value, dict):
            return {name: side for name, side in value.items() if side is not None}
        if not isinstance(value, str):
            message = f"Give a name such as '{DEFAULT_SIZE}', or an object with width and height; this is {{found}}."
            raise PydanticCustomError("image_size_type", message, {"found": name_of(value)})
        if value not in names:
            raise PydanticCustomError("enum", "{hint}", {"hint": suggestions.choice_hint(value, names)})
        size = IMAGE_SIZES.get(value)
        return None if size is None else {"width": size.width, "height": size.height}

    schema = {"anyOf": [{"type": "string", "enum": names}, shape.model_json_schema()]}
    return Annotated[shape | None, BeforeValidator(read), WithJsonSchema(schema)]


def _no_image(name: str) -> str:
    return f"This id starts from no image: call one that ends in /image-to-image, or leave `{name}` out."


def _refused(message: str) -> Any:
    """A field that is refused, unless it is empty."""

    def check(value: object) -> None:
        if value not in _EMPTY:
            raise PydanticCustomError("feature_not_supported", message)

    schema = WithJsonSchema({"enum": [None, *_EMPTY]})
    return (Annotated[None, BeforeValidator(check), schema], Field(None, description="Refused, unless it is empty."))
