"""What the child process asks of whatever draws in it. `diffusers` is the real one; tests bring others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelet.domain.catalog import Model
from pipelet.domain.engine import Used
from pipelet.domain.image import ImageSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What there is to say of a drawing besides its pixels."""

    used: Used | None = None
    """What of the request it really used; None where the backend does not say."""
    has_nsfw_concepts: tuple[bool, ...] = ()
    """By image, whether the safety checker of the model found something, and blacked it out. Empty without a checker.
    """
    notes: tuple[str, ...] = ()
    """For the operator's log."""


class Painter(Protocol):
    """A loaded model. Everything is called in one thread. Its `notes`, where it has them, go to the operator's log."""

    device: str
    """Where it draws, in words for people: `cpu`, `cuda:0 (NVIDIA H200)`."""

    def draw(
        self,
        *,
        spec: ImageSpec,
        first: int,
        count: int,
        references: Sequence[NDArray[np.uint8]],
        out: NDArray[np.uint8],
        on_task: Callable[[int], None],
        is_cancelled: Callable[[], bool],
    ) -> Report | None:
        """Draw the images `first` to `first + count - 1` of `spec` into `out`, shape (count, height, width, 3), RGB.

        `references` are the pictures that an edit starts from, in their order: read-only, shape (height, width, 3),
        RGB. `on_task(k)` tells that k tasks are done and `is_cancelled()` is asked, both at least once a step.

        Raises:
            DrawRefused, DrawFailed, DrawOutOfMemory, DrawCancelled: the painter can draw on afterwards.
            SystemExit: it cannot; the process ends.
            Anything else counts as DrawFailed.
        """


class Implementation(Protocol):
    """A class of painters, named at run time as `module:Class`."""

    def load(self, *, model: Model, source: str, device: str, threads: int | None) -> Painter:
        """Load the model.

        Raises:
            ModelUnusable: it cannot be; the message says why and what to do. Anything else is reported as such, too.
        """
