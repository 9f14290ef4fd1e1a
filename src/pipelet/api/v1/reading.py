"""Reads the bodies and queries of `/api/v1`: strictly, and with all errors at once."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, get_args
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pipelet.api import suggestions
from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import ErrorDetail, echo, error_detail, validation_problem
from pipelet.services.accounts.access import Caller

MAX_BODY_BYTES = 1024 * 1024
_MAX_FAULTS = 20
_MAX_PARAMETERS = 200
_NAME_CHARS = 64

Model = TypeVar("Model", bound=BaseModel)


async def read_body(
    request: Request,
    caller: Caller,
    model: type[Model],
    *,
    max_bytes: int = MAX_BODY_BYTES,
    null_is_absent: bool = True,
) -> Model:
    """The JSON object in the body, whatever its content type says.

    Args:
        null_is_absent: leave out fields that are null; otherwise the model says what null means.

    Raises:
        Problem: 400 or 413, as `BodyReader.read_json`; 422 with all errors, an unknown field by its name.
    """
    async with body_fields(request, caller, max_bytes=max_bytes) as fields:
        found = {name: value for name, value in fields.items() if value is not None} if null_is_absent else fields
        return validate(model, found, "body")


@asynccontextmanager
async def body_fields(request: Request, caller: Caller, *, max_bytes: int) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON object in the body, as it was sent. The memory of a large one stays reserved until the block ends.

    Raises:
        Problem: 400 or 413, as `BodyReader.read_json`.
    """
    async with AsyncExitStack() as stack:
        bodies = get_dependencies(request).bodies
        yield await bodies.read_json(request, stack, user=caller.user, max_bytes=max_bytes)


def read_query(request: Request, model: type[Model]) -> Model:
    """The parameters of the query.

    Raises:
        Problem: 422 with all errors, an unknown parameter by its name.
    """
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS
        )
    except ValueError as error:
        message = f"The query has more than {_MAX_PARAMETERS} parameters."
        raise validation_problem(error_detail(["query"], message, "too_many")) from error
    values = dict(pairs)
    names = [name for name, _ in pairs]
    if twice := [name for name in values if names.count(name) > 1]:
        message = "Give it once: it is not clear which one counts."
        raise validation_problem(*(error_detail(["query", _shown(name)], message) for name in twice[:_MAX_FAULTS]))
    return validate(model, values, "query")


def validate(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    """
    Args:
        where: the part of the request that has the values, `body` or `query`.

    Raises:
        Problem: 422 with all errors.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)[:_MAX_FAULTS]
        faults = [_fault(model, where, each["loc"], each["type"], each["msg"], each["input"]) for each in found]
        raise validation_problem(*faults) from error


def _fault(
    model: type[BaseModel], where: str, loc: Sequence[str | int], kind: str, message: str, sent: object
) -> ErrorDetail:
    if kind == "extra_forbidden":
        names, name = _names_at(model, loc[:-1]), str(loc[-1])
        noun, what = ("parameter", "parameters") if where == "query" else ("field", "fields")
        hint = suggestions.name_hint(name[:_NAME_CHARS], names, what=what)
        message = f"Unknown {noun} '{_shown(name)}'. {hint}"
    shown = (_shown(each) if isinstance(each, str) else each for each in loc)
    return error_detail([where, *shown], message, kind, sent=sent)


def _names_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The names that the model at `loc` has."""
    for part in loc:
        field = model.model_fields.get(str(part))
        inner = None if field is None else _model_of(field)
        model = inner or model
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    kinds = [field.annotation, *get_args(field.annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _shown(name: str) -> str:
    return str(echo(name[:_NAME_CHARS]))
