"""What the core asks of whoever draws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pipelet.domain.image import ImageSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What the engine is asked to draw in one run: the images `first` to `first + count - 1` of `spec`."""

    job_id: str
    spec: ImageSpec
    first: int
    count: int
    references: tuple[memoryview, ...] = ()
    """The pictures that an edit starts from, in their order: uint8, shape (height, width, 3), RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What the backend really used of a request, for the metadata of the files."""

    prompt: str
    """As the model read it: the beginning of the request's where that was too long."""
    negative_prompt: str | None
    """None where it had no effect."""
    sampler: str | None = None
    """By AUTOMATIC1111's name; None where it has none for it."""
    schedule_type: str | None = None
    """The same, of the noise levels."""


@dataclass(frozen=True, slots=True)
class DrawnPart:
    pixels: memoryview
    """uint8, shape (count, height, width, 3), RGB. Valid until `release` is called."""
    seconds: float
    """What the pipeline took."""
    release: Callable[[], None]
    used: Used | None = None
    """None where the backend does not say."""
    has_nsfw_concepts: tuple[bool, ...] = ()
    """By image, whether a safety checker blacked it out; empty where the model has none."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine says when its model is loaded."""

    model: str
    device: str
    load_seconds: float


class Engine(Protocol):
    """A loaded model that draws one part at a time, in a process of its own that may die at any moment."""

    async def start(self) -> EngineInfo:
        """Load the model; start anew where an earlier process is gone.

        Raises:
            ModelUnusable: it cannot be loaded; the message says why and what to do.
            EngineDied, EngineStalled: the process ended or hung while loading.
        """

    @property
    def is_running(self) -> bool: ...

    async def draw(self, part: Part, on_task: Callable[[int], None]) -> DrawnPart:
        """Draw `part`. `on_task(k)` is called as k grows: prompt encoded 1, each step 1, decoded 1.

        Where there are references: between prompt and steps, all of them encoded 1.
        Where the model makes a second pass: and then picture encoded 1, each of its steps 1, decoded 1.

        Raises:
            EngineError: see `domain/errors.py`. After EngineDied and EngineStalled the engine needs `start`.
            Cancelling the awaiting task stops the drawing within one step.
        """

    async def stop(self) -> None:
        """End the process; safe to call twice."""
