"""All messages between the engine and its child process, one JSON line each.

They use their own socket, since libraries print to stdout and stderr. Pixels go through `shared_memory`.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.errors import EngineError, GenerationCancelled, GenerationFailed, InvalidInput, OutOfMemory
from pipelet.domain.generation.image import ImageSpec, InputImage, OutputFormat
from pipelet.domain.ports.engine import EffectiveParameters

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
    """The child replies with TasksDone, any number of times, then with Generated or GenerateFailed."""

    number: int
    """Grows with each micro-batch, so that a late Cancel does not hit the next one."""
    spec: ImageSpec
    first: int
    count: int
    slot: int
    """Index of the file for the pixels."""
    input_images: tuple[tuple[int, int, int], ...] = ()
    """Height, width and 3 of each image in the input buffer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    number: int


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
class Generated:
    number: int
    seconds: float
    used: EffectiveParameters | None = None
    has_nsfw_concepts: tuple[bool, ...] = ()
    """Per image; empty where the model has no safety checker."""
    notes: tuple[str, ...] = ()
    """Lines for the operator's log."""


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

FromParent = Load | Generate | Cancel
FromChild = Ready | LoadFailed | TasksDone | Generated | GenerateFailed
Message = FromParent | FromChild

_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Load, Generate, Cancel, Ready, LoadFailed, TasksDone, Generated, GenerateFailed)
}


def encode(message: Message) -> bytes:
    # JSON escapes line ends and, as ASCII, lone surrogates: any prompt stays on one line.
    return json.dumps([type(message).__name__, asdict(message)]).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    name, content = json.loads(line)
    kind = _KINDS[name]
    if kind is Load:
        content["model"] = _model(content["model"])
    if kind is Generate:
        content["spec"] = _spec(content["spec"])
        content["input_images"] = tuple(map(tuple, content["input_images"]))
    if kind is Generated and content["used"] is not None:
        content["used"] = EffectiveParameters(**content["used"])
    for name in ("has_nsfw_concepts", "notes"):
        if name in content:
            content[name] = tuple(content[name])
    return kind(**content)


def _model(content: dict[str, Any]) -> ModelConfig:
    # JSON has no tuples, and a model has no lists.
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    return ModelConfig(**fields)


def _spec(content: dict[str, Any]) -> ImageSpec:
    changes = {
        "output_format": OutputFormat(content["output_format"]),
        "input_images": tuple(InputImage(**each) for each in content["input_images"]),
        "unknown_fields": tuple(content["unknown_fields"]),
    }
    return ImageSpec(**{**content, **changes})
