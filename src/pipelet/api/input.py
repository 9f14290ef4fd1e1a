"""From what a client sent to a complete request, or to everything that is wrong with it at once."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pipelet.api import near_misses
from pipelet.api.input_model import IMAGE_URL, IMAGE_URLS, MAX_SEED, InputModel
from pipelet.api.json_values import echo
from pipelet.api.problems import Fault, bad_input, fault
from pipelet.domain.catalog import Limits
from pipelet.domain.image import ImageSpec, Reference

_MAX_UNKNOWN = 10
"""Named unknown fields; looking for a likeness to each of a hundred thousand would take seconds."""
_NAME_CHARS = 64


@dataclass(frozen=True, slots=True)
class ReferenceUrl:
    """Of a picture that an edit starts from, and where in the body it stands."""

    loc: list[str | int]
    url: str


@dataclass(frozen=True, slots=True)
class Input:
    priority: int
    reference_urls: tuple[ReferenceUrl, ...]
    """Empty where it is no edit."""
    values: dict[str, Any]

    def spec(self, limits: Limits, references: tuple[Reference, ...] = ()) -> ImageSpec:
        """`references` are what was stored of its pictures: where no size was asked for, it is that of the first."""
        values = self.values
        if references and None in (values["width"], values["height"]):
            size = references[0].size.within(limits.min_side, limits.max_side, values["width"], values["height"])
            values = values | {"width": size.width, "height": size.height}
        return ImageSpec(**values, references=references)


def read_input(
    fields: Mapping[str, Any],
    model: InputModel,
    *,
    max_priority: int | None,
    max_batch: int | None,
    edit_app: str | None = None,
) -> Input:
    """`max_priority` and `max_batch` are what the key allows; `edit_app` is named to those who send an image elsewhere.

    Raises:
        Problem: 422 with all faults.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    names = model.model_fields
    unknown = [name for name in given if name not in names]
    known = {name: value for name, value in given.items() if name in names}
    faults = _unknown_faults(unknown, given, sorted(names), edit_app) if unknown else []
    try:
        values = model.model_validate(known, context={"max_priority": max_priority, "max_batch": max_batch})
    except ValidationError as error:
        refused = error.errors(include_url=False, include_context=False)
        faults = [_refused(each["loc"], each["type"], each["msg"], known) for each in refused] + faults
    if IMAGE_URLS in names:
        faults += _reference_faults(known)
    if faults:
        raise bad_input(*faults)
    return _complete({**vars(values)}, max_priority)


def _complete(values: dict[str, Any], max_priority: int | None) -> Input:
    priority = values.pop("priority")
    if priority is None:
        priority = 0 if max_priority is None else min(0, max_priority)
    if values["seed"] is None:
        values["seed"] = secrets.randbelow(MAX_SEED + 1 - values["batch_size"])
    return Input(priority, _reference_urls(values), values)


def _reference_urls(values: dict[str, Any]) -> tuple[ReferenceUrl, ...]:
    several, one = values.pop(IMAGE_URLS, None) or (), values.pop(IMAGE_URL, None)
    if one is not None:
        return (ReferenceUrl(["body", IMAGE_URL], one),)
    return tuple(ReferenceUrl(["body", IMAGE_URLS, number], url) for number, url in enumerate(several))


def _reference_faults(known: Mapping[str, Any]) -> list[Fault]:
    if (IMAGE_URLS in known) != (IMAGE_URL in known):
        return []
    if IMAGE_URLS in known:
        message, kind = f"Give {IMAGE_URLS} or {IMAGE_URL}, not both.", "value_error"
    else:
        message, kind = "Name the pictures to edit: a list of URLs, or data: URIs.", "missing"
    return [fault(["body", IMAGE_URLS], message, kind)]


def _refused(loc: tuple[str | int, ...], kind: str, message: str, given: Mapping[str, Any]) -> Fault:
    """The input is what was sent, not what reading it made of it."""
    sent = given.get(str(loc[0]))
    if len(loc) > 1 and isinstance(sent, list) and isinstance(loc[1], int):
        sent = sent[loc[1]]
    return fault(["body", *loc], message, kind, sent=sent)


def _unknown_faults(
    unknown: list[str], given: Mapping[str, Any], known: list[str], edit_app: str | None
) -> list[Fault]:
    faults: list[Fault] = []
    for name in unknown[:_MAX_UNKNOWN]:
        shown = str(echo(name[:_NAME_CHARS]))
        message = f"Unknown field '{shown}'. {near_misses.of_field(name[:_NAME_CHARS], known, edit_app=edit_app)}"
        faults.append(fault(["body", shown], message, "extra_forbidden", sent=given[name]))
    if len(unknown) > _MAX_UNKNOWN:
        message = f"{len(unknown) - _MAX_UNKNOWN} more unknown fields."
        faults.append(fault(["body"], message, "extra_forbidden"))
    return faults
