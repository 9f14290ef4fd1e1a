"""What the bodies and queries of `/api/v1` have in common."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

MAX_LIMIT, DEFAULT_LIMIT = 100, 50
MAX_CURSOR_CHARS = 512
_MAX_SECONDS = 253_402_300_799.0
"""The end of the year 9999."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_NOT_TEXT = re.compile(r"[\u0000\ud800-\udfff]")  # databases store neither NUL nor lone surrogates


class Input(BaseModel):
    """A body or a query that callers send. `read_body` and `read_query` refuse other names."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool_as_number(cls, value: object, info: ValidationInfo) -> object:
        """`true` is no number: a limit of 1 image, or a filter that is expected to find nothing."""
        if isinstance(value, bool) and int in _types_in(cls.model_fields[str(info.field_name)].annotation):
            raise ValueError("Give a number, not true or false.")
        return value


def _types_in(annotation: Any) -> Iterator[Any]:
    """A type, and the types that it is made of: `int` is one of `Annotated[int, Field(ge=1)] | None`."""
    yield annotation
    for each in get_args(annotation):
        yield from _types_in(each)


class Output(BaseModel):
    """A response, for OpenAPI. Handlers build the responses by hand."""

    model_config = ConfigDict(defer_build=True)


class ErrorBody(Output):
    """Every error. `message` is `detail` in one line."""

    detail: str | list[dict[str, Any]]
    message: str
    error_type: str | None = None
    count: int | None = Field(None, description="Requests that a bulk operation found, where it is not `expect`.")
    status: str | None = None


def _check_text(value: object) -> object:
    if isinstance(value, str) and (bad := _NOT_TEXT.search(value)):
        raise PydanticCustomError(
            "no_text",
            "Character {position} is {code}, which is not text.",
            {"code": f"U+{ord(bad[0]):04X}", "position": bad.start()},
        )
    return value


def _read_time(value: object) -> float:
    """Seconds since the epoch, of a number, of digits, or of an ISO 8601 text; without a zone it is UTC."""
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= _MAX_SECONDS else math.nan
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        seconds = float(value)
    elif isinstance(value, str):
        try:
            # A `+` of a zone that was not percent-encoded arrives as a blank.
            found = datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value)
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
            # A date before 1970 stands for the beginning.
            seconds = min(max((found - _EPOCH).total_seconds(), 0.0), _MAX_SECONDS)
        except ValueError:
            pass
    if not 0 <= seconds <= _MAX_SECONDS:
        raise PydanticCustomError(
            "time_parsing", "Give a time such as 2026-11-30T09:00:00Z, a date such as 2026-11-30, or seconds."
        )
    return seconds


Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$"), BeforeValidator(_check_text)]
"""A text that every database stores."""
Time = Annotated[float, BeforeValidator(_read_time), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time in a body or a query, as seconds since the epoch."""


class PageQuery(Input):
    """The parameters of every list."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description=f"Items; {DEFAULT_LIMIT} if not given.")
    after: Text | None = Field(
        None, max_length=MAX_CURSOR_CHARS, description="The `next` of a page: the items that follow it."
    )


def iso_time(seconds: float | None) -> str | None:
    """A time as responses have it: ISO 8601, UTC, with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
