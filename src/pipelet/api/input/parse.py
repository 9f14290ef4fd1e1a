"""The input of an app: parsed to a valid request, or to all of its errors at once."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from fastapi import Request
from pydantic import ValidationError

from pipelet.api import suggestions
from pipelet.api.errors import ErrorDetail, Problem, echo, error_detail, validation_problem
from pipelet.api.input.schema import IMAGE_URL, IMAGE_URLS, InputModel
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.catalog import App
from pipelet.services.accounts.limit_refusals import LimitRefusals, Reason
from pipelet.services.requests.submit import RequestInput

_MAX_UNKNOWN = 10
"""Number of unknown fields that are named; similar names for a hundred thousand of them would take seconds."""
_NAME_CHARS = 64
_CEILINGS = {"priority_ceiling": Reason.PRIORITY, "batch_ceiling": Reason.BATCH_SIZE}

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSchemas:
    """What decides whether an input is valid."""

    models: Mapping[str, InputModel]
    """The schema of each app that takes requests."""
    edit_app: str | None
    """An app that takes input images, for hints."""

    def parse(self, app: App, fields: Mapping[str, Any], key: ApiKey, *, loc: Loc = ("body",)) -> RequestInput:
        """
        Args:
            loc: where the input is in the request, for errors.

        Raises:
            Problem: 422 with all errors.
        """
        return parse_input(fields, self.models[app.name], key, edit_app=self.edit_app, loc=loc)


@contextmanager
def counted_refusals(refusals: LimitRefusals, user: str) -> Iterator[None]:
    """Count the errors of an input that is above the limits of its key or its user."""
    try:
        yield
    except Problem as problem:
        for fault in problem.detail if isinstance(problem.detail, list) else []:
            if fault["type"] in _CEILINGS:
                refusals.add(user, _CEILINGS[fault["type"]])
        raise


def get_input_schemas(request: Request) -> InputSchemas:
    return cast(InputSchemas, request.scope["app"].state.input_schemas)


def parse_input(
    fields: Mapping[str, Any], model: InputModel, key: ApiKey, *, edit_app: str | None = None, loc: Loc = ("body",)
) -> RequestInput:
    """
    Args:
        edit_app: Named to clients that send an image to an app that takes none.
        loc: where the input is in the request, for errors.

    Raises:
        Problem: 422 with all errors.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    names = model.model_fields
    unknown = [name for name in given if name not in names]
    known = {name: value for name, value in given.items() if name in names}
    faults = _unknown_field_errors(unknown, given, sorted(names), edit_app, loc) if unknown else []
    try:
        values = model.model_validate(known, context=ceilings(key))
    except ValidationError as error:
        faults = field_errors(error, known, loc) + faults
    if IMAGE_URLS in names:
        faults += _input_image_errors(known, loc)
    if faults:
        raise validation_problem(*faults)
    found = {**vars(values)}
    priority, several, one = found.pop("priority"), found.pop(IMAGE_URLS, None), found.pop(IMAGE_URL, None)
    urls = (several or []) if one is None else [one]
    return RequestInput(fields=fields, priority=priority, image_urls=urls, values=found)


def ceilings(key: ApiKey) -> dict[str, Any]:
    """The context in which input is validated."""
    of_key, of_user = key.max_priority, key.user_limits.max_priority
    is_of_key = of_key is not None and (of_user is None or of_key <= of_user)
    whose = key.id if is_of_key else f"--user {shlex.quote(key.user)}"
    return {
        "max_priority": key.priority_ceiling,
        "max_priority_command": f"pipelet keys limit {whose} --max-priority",
        "max_batch": key.max_batch,
    }


def _input_image_errors(known: Mapping[str, Any], loc: Loc) -> list[ErrorDetail]:
    if (IMAGE_URLS in known) != (IMAGE_URL in known):
        return []
    if IMAGE_URLS in known:
        message, kind = f"Give {IMAGE_URLS} or {IMAGE_URL}, not both.", "value_error"
    else:
        message, kind = "Name the images to edit: a list of URLs, or data: URIs.", "missing"
    return [error_detail([*loc, IMAGE_URLS], message, kind)]


def field_errors(error: ValidationError, given: Mapping[str, Any], loc: Loc) -> list[ErrorDetail]:
    """The errors of fields; each shows the input as it was sent, not as validation converted it."""
    refused = error.errors(include_url=False, include_context=False)
    return [
        error_detail([*loc, *each["loc"]], each["msg"], each["type"], sent=_sent_at(each["loc"], given))
        for each in refused
    ]


def _sent_at(field: Loc, given: Mapping[str, Any]) -> object:
    sent = given.get(str(field[0]))
    for step in field[1:]:
        if isinstance(sent, list) and isinstance(step, int):
            sent = sent[step]
        elif isinstance(sent, dict):
            sent = sent.get(step)
    return sent


def _unknown_field_errors(
    unknown: list[str], given: Mapping[str, Any], known: list[str], edit_app: str | None, loc: Loc
) -> list[ErrorDetail]:
    faults: list[ErrorDetail] = []
    for name in unknown[:_MAX_UNKNOWN]:
        shown = str(echo(name[:_NAME_CHARS]))
        message = f"Unknown field '{shown}'. {suggestions.field_hint(name[:_NAME_CHARS], known, edit_app=edit_app)}"
        faults.append(error_detail([*loc, shown], message, "extra_forbidden", sent=given[name]))
    if len(unknown) > _MAX_UNKNOWN:
        message = f"{len(unknown) - _MAX_UNKNOWN} more unknown fields."
        faults.append(error_detail(loc, message, "extra_forbidden"))
    return faults
