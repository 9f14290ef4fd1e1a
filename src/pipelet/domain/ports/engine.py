"""The engine, as the worker uses it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.generation.preview import PreviewPixels


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """The images of one pipeline call: `first` to `first + count - 1` of `spec`."""

    job_id: str
    spec: ImageSpec
    first: int
    count: int
    input_images: tuple[memoryview, ...] = ()
    """Input images in order: uint8, shape (height, width, 3), RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveParameters:
    """Parameters that the backend really used, for the metadata of the files."""

    prompt: str
    """As the model read it: the beginning of the request's where that was too long."""
    negative_prompt: str | None
    """None where it had no effect."""
    sampler: str | None = None
    """By AUTOMATIC1111's name; None where it has none for it."""
    schedule_type: str | None = None
    """AUTOMATIC1111's name of the noise schedule; None where it has none."""


@dataclass(frozen=True, slots=True)
class GeneratedBatch:
    pixels: memoryview
    """uint8, shape (count, height, width, 3), RGB. Valid until `release` is called."""
    seconds: float
    """Seconds in the pipeline."""
    release: Callable[[], None]
    used: EffectiveParameters | None = None
    """None where the backend does not report them."""
    has_nsfw_concepts: tuple[bool, ...] = ()
    """Per image, whether a safety checker blacked it out; empty where the model has none."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The engine once its model is loaded."""

    model: str
    device: str
    load_seconds: float


class Engine(Protocol):
    """A loaded model that generates one micro-batch at a time, in its own process, which may crash at any moment."""

    async def start(self) -> EngineInfo:
        """Load the model; restart it if an earlier process is gone.

        Raises:
            ModelLoadError: it cannot be loaded; the message says why and what to do.
            EngineDied, EngineTimeout: the process ended or hung while loading.
        """

    @property
    def is_running(self) -> bool: ...

    async def generate(
        self,
        batch: MicroBatch,
        on_progress: Callable[[int], None],
        on_preview: Callable[[PreviewPixels], None] = lambda preview: None,
    ) -> GeneratedBatch:
        """Generate `batch`. `on_progress(k)` is called as k grows: prompt encoded 1, each step 1, decoded 1.

        With input images: between prompt and steps, all of them encoded 1.
        With a second pass: then image encoded 1, each of its steps 1, decoded 1.
        `on_preview` is called after some of the steps, if `request_previews` has asked for that.

        Raises:
            EngineError: see `domain/errors.py`. After EngineDied and EngineTimeout the engine needs `start`.
            Cancelling the awaiting task stops the generation within one step.
        """

    def request_previews(self, job_id: str, seconds: float) -> None:
        """Make previews of what is generated for this job, for that many seconds. A model may make none."""

    async def stop(self) -> None:
        """End the process; safe to call twice."""
