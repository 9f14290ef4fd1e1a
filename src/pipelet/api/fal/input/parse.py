"""The body of a submit: parsed to a valid request, or to all of its errors at once. Headers are in `options.py`."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pipelet.api import suggestions
from pipelet.api.errors import ErrorDetail, echo, error_detail, validation_problem
from pipelet.api.fal.input.schema import IMAGE_URL, IMAGE_URLS, InputModel
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.services.requests.submit import RequestInput

_MAX_UNKNOWN = 10
"""Number of unknown fields that are named; similar names for a hundred thousand of them would take seconds."""
_NAME_CHARS = 64


def parse_input(
    fields: Mapping[str, Any], model: InputModel, key: ApiKey, *, edit_app: str | None = None
) -> RequestInput:
    """
    Args:
        edit_app: Named to clients that send an image to an app that takes none.

    Raises:
        Problem: 422 with all errors.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    names = model.model_fields
    unknown = [name for name in given if name not in names]
    known = {name: value for name, value in given.items() if name in names}
    faults = _unknown_field_errors(unknown, given, sorted(names), edit_app) if unknown else []
    try:
        values = model.model_validate(known, context={"max_priority": key.max_priority, "max_batch": key.max_batch})
    except ValidationError as error:
        refused = error.errors(include_url=False, include_context=False)
        faults = [_field_error(each["loc"], each["type"], each["msg"], known) for each in refused] + faults
    if IMAGE_URLS in names:
        faults += _input_image_errors(known)
    if faults:
        raise validation_problem(*faults)
    found = {**vars(values)}
    priority, several, one = found.pop("priority"), found.pop(IMAGE_URLS, None), found.pop(IMAGE_URL, None)
    urls = (several or []) if one is None else [one]
    return RequestInput(fields=fields, priority=priority, image_urls=urls, values=found)


def _input_image_errors(known: Mapping[str, Any]) -> list[ErrorDetail]:
    if (IMAGE_URLS in known) != (IMAGE_URL in known):
        return []
    if IMAGE_URLS in known:
        message, kind = f"Give {IMAGE_URLS} or {IMAGE_URL}, not both.", "value_error"
    else:
        message, kind = "Name the images to edit: a list of URLs, or data: URIs.", "missing"
    return [error_detail(["body", IMAGE_URLS], message, kind)]


def _field_error(loc: tuple[str | int, ...], kind: str, message: str, given: Mapping[str, Any]) -> ErrorDetail:
    """Shows the input as it was sent, not as validation converted it."""
    sent = given.get(str(loc[0]))
    if len(loc) > 1 and isinstance(sent, list) and isinstance(loc[1], int):
        sent = sent[loc[1]]
    return error_detail(["body", *loc], message, kind, sent=sent)


def _unknown_field_errors(
    unknown: list[str], given: Mapping[str, Any], known: list[str], edit_app: str | None
) -> list[ErrorDetail]:
    faults: list[ErrorDetail] = []
    for name in unknown[:_MAX_UNKNOWN]:
        shown = str(echo(name[:_NAME_CHARS]))
        message = f"Unknown field '{shown}'. {suggestions.field_hint(name[:_NAME_CHARS], known, edit_app=edit_app)}"
        faults.append(error_detail(["body", shown], message, "extra_forbidden", sent=given[name]))
    if len(unknown) > _MAX_UNKNOWN:
        message = f"{len(unknown) - _MAX_UNKNOWN} more unknown fields."
        faults.append(error_detail(["body"], message, "extra_forbidden"))
    return faults
