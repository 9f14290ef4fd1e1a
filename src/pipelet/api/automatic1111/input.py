"""The fields of AUTOMATIC1111's API, translated to the input of an app.

Clients send all their settings with each call. Those that have no effect are ignored, and named in a header. One that
would silently make another image is refused.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelet.api.errors import ErrorDetail, Problem, error_detail, validation_problem
from pipelet.api.input.schema import IMAGE_URLS, InputModel
from pipelet.domain.catalog import EDIT, App, Catalog

SAMPLER = "Default"
"""The only sampler: the scheduler that the model was made for."""
DEFAULT_SIDE = 512
"""Pixels of a side that a call for text to image leaves out."""
SIZE_FIELDS = ("width", "height")
INIT_IMAGES = "init_images"
_MAX_COUNT = 9999
"""More than any app makes of a request, in either of the two fields that say how many."""
_DIGITS = re.compile(r"[0-9]{1,4}")

_NAMES = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "width": "width",
    "height": "height",
    "steps": "num_inference_steps",
    "cfg_scale": "guidance_scale",
    "seed": "seed",
    "denoising_strength": "strength",
}
"""Names here, and in the input of an app."""
_OWN = ("batch_size", "n_iter", "override_settings", "send_images", "sampler_name", "sampler_index", INIT_IMAGES)
_CHECKPOINT = "sd_model_checkpoint"
_REFUSED = {
    "enable_hr": "A second pass at a larger size is not supported. Leave `enable_hr` out, and ask for that size.",
    "tiling": "Images that tile are not supported. Leave `tiling` out.",
    "mask": "Masks are not supported: the whole image is generated again. Leave `mask` out.",
    "script_name": "Scripts are not supported. Leave `script_name` out.",
}
"""Fields that would make another image, unless they are empty or false."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic1111Input:
    app: App
    fields: dict[str, Any]
    """The input of the app, not validated."""
    send_images: bool
    ignored: Sequence[str]

    def renamed(self, problem: Problem) -> Problem:
        """The errors of the input of the app, with the names that were sent."""
        if not isinstance(problem.detail, list):
            return problem
        names = {ours: sent for sent, ours in _NAMES.items()} | {IMAGE_URLS: INIT_IMAGES}
        return validation_problem(*(_renamed(fault, names) for fault in problem.detail))


def translate(
    catalog: Catalog, schemas: Mapping[str, InputModel], sent: Mapping[str, Any], *, task: str
) -> Automatic1111Input:
    """
    Raises:
        Problem: 404 for a model that is not here; 422 for what is not supported.
    """
    given = {name: value for name, value in sent.items() if value is not None}
    faults = [
        error_detail(["body", name], message, "unsupported_parameter")
        for name, message in _REFUSED.items()
        if given.get(name)
    ]
    if faults:
        raise validation_problem(*faults)
    app = find_app(catalog, _checkpoint_in(given), task)
    fields = {ours: given[name] for name, ours in _NAMES.items() if name in given}
    fields["batch_size"] = _count(given)
    if fields.get("seed") in (-1, "-1"):  # random
        del fields["seed"]
    if not fields.get("negative_prompt"):
        fields.pop("negative_prompt", None)
    if task == EDIT:
        images = given.get(INIT_IMAGES)
        fields[IMAGE_URLS] = [_as_url(each) for each in images] if isinstance(images, list) else images
    else:
        fields = dict.fromkeys(SIZE_FIELDS, DEFAULT_SIDE) | fields
    ignored = _ignored(given, schemas[app.name], task)
    return Automatic1111Input(
        app=app,
        fields={name: value for name, value in fields.items() if name in schemas[app.name].model_fields},
        send_images=given.get("send_images") is not False,
        ignored=ignored,
    )


def find_app(catalog: Catalog, checkpoint: str | None, task: str) -> App:
    """Return the app for a task with this checkpoint. If none has it, return the first: clients choose one
    checkpoint for all tasks.

    Raises:
        Problem: 404 for a checkpoint that no app has.
    """
    apps = catalog.apps_for(task)
    if checkpoint is not None and checkpoint not in checkpoints(catalog):
        known = ", ".join(checkpoints(catalog))
        raise Problem(404, f"There is no such checkpoint. Checkpoints: {known}.", error_type="model_not_found")
    found = next((app for app in apps if app.model == checkpoint), next(iter(apps), None))
    if found is None:
        raise Problem(404, f"No app here does {task}.", error_type="model_not_found")
    return found


def checkpoints(catalog: Catalog) -> list[str]:
    """Names of the models that are served."""
    return list(dict.fromkeys(catalog.model_of(catalog.apps[name]).name for name in catalog.served_apps()))


def _checkpoint_in(given: Mapping[str, Any]) -> str | None:
    settings = given.get("override_settings")
    found = settings.get(_CHECKPOINT) if isinstance(settings, dict) else None
    return found if isinstance(found, str) and found else None


def _count(given: Mapping[str, Any]) -> Any:
    """Images of all batches: they are one request here. A `batch_size` that is none is left to the app's own schema.

    Raises:
        Problem: 422 for an `n_iter` that is no number of batches.
    """
    size, times = _whole(given.get("batch_size", 1)), _whole(given.get("n_iter", 1))
    if size is None:
        return given["batch_size"]
    if times is None:
        message = f"Give a whole number of batches, from 1 to {_MAX_COUNT}."
        raise validation_problem(error_detail(["body", "n_iter"], message, "int_parsing", sent=given["n_iter"]))
    return size * times


def _whole(value: Any) -> int | None:
    """The number from 1 to `_MAX_COUNT` that a client has written; None if it is none."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 1 <= value <= _MAX_COUNT and value == int(value) else None


def _as_url(image: Any) -> Any:
    """Base64 alone is an image, too. What it is, is read from its bytes."""
    is_url = not isinstance(image, str) or image[:8].lower().startswith(("data:", "http://", "https://"))
    return image if is_url else f"data:;base64,{image}"


def _ignored(given: Mapping[str, Any], schema: InputModel, task: str) -> list[str]:
    """Names of fields that have no effect, in the order of the body."""
    used = {name for name, ours in _NAMES.items() if ours in schema.model_fields}
    used |= {name for name in _OWN if name != INIT_IMAGES or task == EDIT}
    used -= {name for name in ("sampler_name", "sampler_index") if given.get(name) not in (None, "", SAMPLER)}
    # Clients send every setting there is: false, empty and zero ones ask for nothing.
    return [name for name, value in given.items() if name not in used and value not in (False, "", 0, [], {})]


def _renamed(fault: ErrorDetail, names: Mapping[str, str]) -> ErrorDetail:
    where, *rest = fault["loc"]
    return {**fault, "loc": [where, names.get(rest[0], rest[0]), *rest[1:]]} if rest else fault
