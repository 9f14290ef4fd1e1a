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
        content["model"] = ModelConfig(**_with_tuples(content["model"]))
    if kind is Generate:
        content["spec"] = _spec(content["spec"])
        content["input_images"] = tuple(map(tuple, content["input_images"]))
    if kind is Generated:
        used = content["report"].pop("used")
        report = _with_tuples(content["report"])
        content["report"] = GenerationReport(used=used and EffectiveParameters(**used), **report)
    return kind(**_with_tuples(content))


def _with_tuples(content: dict[str, Any]) -> dict[str, Any]:
    """Undo what JSON did to tuples; no message has a list."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}


def _spec(content: dict[str, Any]) -> ImageSpec:
    changes = {
        "output_format": OutputFormat(content["output_format"]),
        "input_images": tuple(InputImage(**each) for each in content["input_images"]),
    }
    return ImageSpec(**{**_with_tuples(content), **changes})
