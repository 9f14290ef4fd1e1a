"""Everything that the engine and its child process say to each other, one JSON line each.

They speak over a socket of their own: libraries print to stdout and stderr. Pixels do not travel here (see `pixels`).
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from pipelet.domain.catalog import Model
from pipelet.domain.engine import Used
from pipelet.domain.errors import DrawCancelled, DrawFailed, DrawOutOfMemory, DrawRefused, EngineError
from pipelet.domain.image import ImageSpec, OutputFormat, Reference

# -- from the parent ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The first message, once."""

    model: Model
    """Its `painter` draws."""
    source: str
    device: str
    threads: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Answered by TaskDone, any number of times, then by Drawn or Failed."""

    number: int
    """Grows from draw to draw, so that a Cancel that comes too late hits nothing else."""
    spec: ImageSpec
    first: int
    count: int
    slot: int
    """The file that takes the pixels."""
    references: tuple[tuple[int, int, int], ...] = ()
    """Height, width and 3 of each picture in the inbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    number: int


# -- from the child ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    device: str
    seconds: float
    notes: tuple[str, ...] = ()
    """For the operator's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed:
    """The last message: the child exits."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDone:
    number: int
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    number: int
    seconds: float
    used: Used | None = None
    has_nsfw_concepts: tuple[bool, ...] = ()
    """By image; empty where the model has no safety checker."""
    notes: tuple[str, ...] = ()
    """For the operator's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The drawing came to nothing; the child is ready for the next."""

    number: int
    kind: str
    """A key of `FAILURES`."""
    message: str


FAILURES: dict[str, type[EngineError]] = {
    "refused": DrawRefused,
    "failed": DrawFailed,
    "out_of_memory": DrawOutOfMemory,
    "cancelled": DrawCancelled,
}

FromParent = Load | Draw | Cancel
FromChild = Ready | LoadFailed | TaskDone | Drawn | Failed
Message = FromParent | FromChild

_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Load, Draw, Cancel, Ready, LoadFailed, TaskDone, Drawn, Failed)
}


def encode(message: Message) -> bytes:
    # JSON escapes line ends and, as ASCII, lone surrogates: a prompt may hold anything and stays one line.
    return json.dumps([type(message).__name__, asdict(message)]).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    name, content = json.loads(line)
    kind = _KINDS[name]
    if kind is Load:
        content["model"] = _model(content["model"])
    if kind is Draw:
        content["spec"] = _spec(content["spec"])
        content["references"] = tuple(map(tuple, content["references"]))
    if kind is Drawn and content["used"] is not None:
        content["used"] = Used(**content["used"])
    for name in ("has_nsfw_concepts", "notes"):
        if name in content:
            content[name] = tuple(content[name])
    return kind(**content)


def _model(content: dict[str, Any]) -> Model:
    # JSON knows no tuples, and a model holds no lists.
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    return Model(**fields)


def _spec(content: dict[str, Any]) -> ImageSpec:
    changes = {
        "output_format": OutputFormat(content["output_format"]),
        "references": tuple(Reference(**each) for each in content["references"]),
        "unread": tuple(content["unread"]),
    }
    return ImageSpec(**{**content, **changes})
