"""Callbacks that a pipeline calls: progress, previews, and cancellation."""

from collections.abc import Callable
from typing import Any

from pipelet.domain.errors import GenerationCancelled
from pipelet.engine.diffusers.previews import StepPreviews


class StepCallbacks:
    """Counts the tasks of one generation, pass by pass, and stops it when it is cancelled."""

    def __init__(
        self,
        on_progress: Callable[[int], None],
        is_cancelled: Callable[[], bool],
        previews: StepPreviews | None = None,
    ) -> None:
        self._on_progress = on_progress
        self._is_cancelled = is_cancelled
        self._previews = previews
        self._done = 0
        self._before = 0
        self._encodings = 1
        self._steps_before = 0
        self._steps = 0

    def begin_pass(self, steps: int, width: int, height: int, *, encodings: int = 1) -> None:
        """
        Args:
            width, height: pixels of the images.
            encodings: tasks before the first step.
        """
        self._before = self._done
        self._encodings = encodings
        self._steps_before += self._steps
        self._steps = steps
        if self._previews is not None:
            self._previews.begin_pass(width, height)

    def end_pass(self) -> None:
        self._reach(self._encodings + self._steps + 1)

    def check(self) -> None:
        # Raising is the only clean way out: the pipelines' own `interrupt` still decodes half an image.
        if self._is_cancelled():
            raise GenerationCancelled("Told to stop.")

    def _reach(self, done: int) -> None:
        """`done` of this pass."""
        while self._done < self._before + done:
            self._done += 1
            self._on_progress(self._done)

    def before_image(self, *_: Any) -> None:
        """The prompt is encoded, and input images are next."""
        self._reach(self._encodings - 1)
        self.check()

    def before_forward(self, *_: Any) -> None:
        self._reach(self._encodings)
        self.check()

    def after_step(self, pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        # Second-order schedulers take more steps than were asked for.
        planned = max(getattr(pipe, "num_timesteps", self._steps), 1)
        done = min((step + 1) * self._steps // planned, self._steps)
        self._reach(self._encodings + done)
        self.check()
        if self._previews is not None and "latents" in tensors and done < self._steps:  # the last one gives the image
            self._previews.after_step(pipe.scheduler, tensors["latents"], self._steps_before + done)
        return {}
