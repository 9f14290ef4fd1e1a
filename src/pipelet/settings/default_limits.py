"""Limits that new users get."""

from typing import Annotated, Literal, TypeVar

from pydantic import Field

MAX_INTEGER = 2**31 - 1
Number = TypeVar("Number", int, float)

MaxPriority = Annotated[
    Annotated[int, Field(ge=-MAX_INTEGER - 1, le=MAX_INTEGER)] | Literal["none"],
    Field(
        description="Limit of a new user: highest priority of a request; `none` for no limit. Set it to 0 if your "
        "users are strangers to each other: a request of a higher priority starts before all others."
    ),
]
MaxQueuedImages = Annotated[
    Annotated[int, Field(ge=1, le=MAX_INTEGER)] | Literal["none"],
    Field(
        description="Limit of a new user: queued images, of all keys of the user together; `none` for no limit. "
        "`pipelet keys limit --user` changes the limits of a user who exists."
    ),
]
MaxRunningImages = Annotated[
    Annotated[int, Field(ge=1, le=MAX_INTEGER)] | Literal["none"],
    Field(description="Limit of a new user: images that are generated at once; `none` for no limit."),
]
MaxStoredGib = Annotated[
    Annotated[float, Field(gt=0, le=1_000_000)] | Literal["none"],
    Field(description="Limit of a new user: GiB of files; `none` for no limit."),
]
MaxSubmitsPerSecond = Annotated[
    Annotated[float, Field(gt=0, le=10_000)] | Literal["none"],
    Field(description="Limit of a new user: submits per second in the long run; `none` for no limit."),
]
MaxWebhooksPerMinute = Annotated[
    Annotated[int, Field(ge=1, le=1_000_000)] | Literal["none"],
    Field(description="Limit of a new user: webhooks per minute; those beyond it are sent later. `none` for no limit."),
]
SubmitBurst = Annotated[
    int, Field(ge=1, le=1_000_000, description="Limit of a new user: submits at once, after a pause.")
]


def optional(value: Number | Literal["none"]) -> Number | None:
    return None if value == "none" else value
