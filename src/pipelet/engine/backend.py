"""The protocol of backends, which generate images in the child process. `diffusers` is the real one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipelet.domain.catalog import ModelConfig
from pipelet.domain.generation.image import ImageSpec
from pipelet.domain.ports.engine import EffectiveParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationReport:
    """What a backend reports besides pixels."""

    used: EffectiveParameters | None = None
    """Parameters that were really used; None where the backend does not report them."""
    has_nsfw_concepts: tuple[bool, ...] = ()
    """Per image, whether the safety checker blacked it out; empty without a checker."""
    notes: tuple[str, ...] = ()
    """Lines for the operator's log."""


class Previews(Protocol):
    """Takes the previews of one generation."""

    @property
    def is_due(self) -> bool:
        """Whether a preview is wanted now: while a client watches, at most twice a second."""

    def show(self, pixels: NDArray[np.uint8], *, index: int, step: int) -> None:
        """Show a preview, shape (height, width, 3), RGB, at most 256 pixels a side.

        Args:
            index: number of the image in its request.
            step: steps of the image that are done.
        """


class Backend(Protocol):
    """A loaded model. All calls come from one thread. Its `notes`, if any, are logged for the operator.

    A backend that makes previews has a further argument in `generate`: `previews`, of the type `Previews`.
    """

    device: str
    """Device for display: `cpu`, `cuda:0 (NVIDIA H200)`."""

    @classmethod
    def load(cls, *, model: ModelConfig, source: str, device: str) -> Self:
        """Load the model. The class is named at run time, as `module:Class`.

        Raises:
            ModelLoadError: it cannot be loaded; the message says why and what to do. Other errors are reported as such.
        """

    def generate(
        self,
        *,
        spec: ImageSpec,
        first: int,
        count: int,
        input_images: Sequence[NDArray[np.uint8]],
        out: NDArray[np.uint8],
        on_progress: Callable[[int], None],
        is_cancelled: Callable[[], bool],
    ) -> GenerationReport | None:
        """Generate images `first` to `first + count - 1` of `spec` into `out`, shape (count, height, width, 3), RGB.

        `input_images` are in order, read-only, of shape (height, width, 3), RGB. Call `on_progress(k)` when k tasks are
        done, and check `is_cancelled()`, both at least once a step.

        Raises:
            InvalidInput, GenerationFailed, OutOfMemory, GenerationCancelled: the backend can generate again.
            SystemExit: it cannot; the process exits.
            Anything else counts as GenerationFailed.
        """
