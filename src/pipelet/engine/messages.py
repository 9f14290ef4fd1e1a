"""All messages between the engine and its child process, one JSON line each.

They use their own socket, since libraries print to stdout and stderr. Pixels go through `shared_memory`.
"""

import json
from dataclasses import dataclass, fields
from typing import Any, get_args

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import EngineError, GenerationCancelled, GenerationFailed, InvalidInput, OutOfMemory
from pipelet.domain.generation.image import ImageSpec, InputImage, OutputFormat
from pipelet.domain.ports.engine import EffectiveParameters
from pipelet.engine.backend import GenerationReport

# -- from the parent ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The first message, once."""

    model: ModelConfig
    """Its `backend` generates."""
    source: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """The child replies with TasksDone and PreviewMade, any number of times, then with Generated or GenerateFailed."""

    number: int
    """Grows with each micro-batch, so that a late Cancel does not hit the next one."""
    spec: ImageSpec
    first: int
    count: int
    slot: int
    """Index of the file for the pixels."""
    input_images: tuple[tuple[int, int, int], ...] = ()
    """Height, width and 3 of each image in the input buffer."""
    preview_seconds: float = 0.0
    """Seconds for which previews are made, from now; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePreviews:
    """The child may send PreviewMade, while it generates this micro-batch."""

    number: int
    seconds: float
    """Seconds for which previews are made, from now."""


# -- from the child ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    device: str
    seconds: float
    notes: tuple[str, ...] = ()
    """Lines for the operator's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed:
    """The last message: the child exits."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksDone:
    number: int
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewMade:
    number: int
    index: int
    """Number of the image in its request."""
    step: int
    half: int
    """Where the pixels are in the preview buffer."""
    height: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    number: int
    seconds: float
    report: GenerationReport


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateFailed:
    """Generation failed; the child can take the next micro-batch."""

    number: int
    kind: str
    """A key of `ERROR_TYPES`."""
    message: str


ERROR_TYPES: dict[str, type[EngineError]] = {
    "refused": InvalidInput,
    "failed": GenerationFailed,
    "out_of_memory": OutOfMemory,
    "cancelled": GenerationCancelled,
}

FromParent = Load | Generate | Cancel | MakePreviews
FromChild = Ready | LoadFailed | TasksDone | PreviewMade | Generated | GenerateFailed
Message = FromParent | FromChild

_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (*get_args(Message), EffectiveParameters, GenerationReport, ImageSpec, InputImage, ModelConfig)
}


def encode(message: Message) -> bytes:
    # JSON escapes line ends and, as ASCII, lone surrogates: any prompt stays on one line.
    return json.dumps(message, default=_object).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    message: Message = json.loads(line, object_hook=_dataclass)
    return message


def _object(value: Any) -> dict[str, Any]:
    """Return a dataclass as an object that names its type."""
    return {"type": type(value).__name__} | {field.name: getattr(value, field.name) for field in fields(value)}


def _dataclass(content: dict[str, Any]) -> Any:
    kind = _TYPES[content.pop("type")]
    if kind is ImageSpec:
        content["output_format"] = OutputFormat(content["output_format"])
    return kind(**{name: _with_tuples(value) for name, value in content.items()})


def _with_tuples(value: Any) -> Any:
    """Undo what JSON did to tuples; no message has a list."""
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
