"""How far a running job is, counted in units of real work."""

from dataclasses import dataclass

from pipelet.domain.catalog import Model
from pipelet.domain.image import ImageSpec

ENCODE_PROMPT = 1
ENCODE_PICTURE = 1
DECODE = 1
WRITE_FILES = 1
STORE_FILES = 1
TASKS_BESIDE_STEPS = ENCODE_PROMPT + DECODE + WRITE_FILES + STORE_FILES


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` tasks. `done` never falls within an attempt, and `total` is fixed when it begins."""

    done: int
    total: int

    def __str__(self) -> str:
        return f"Progress: {self.done}/{self.total} Tasks done"


def tasks_of_part(steps: int, refine_steps: int, *, is_edit: bool) -> int:
    """Encoding the prompt, each denoising step, decoding, writing the files' bytes, storing them: 8 steps make 12.

    An edit adds encoding its pictures. A second pass, where there is one, adds encoding what was drawn, each of its
    steps, and decoding again.
    """
    pictures = ENCODE_PICTURE if is_edit else 0
    second_pass = ENCODE_PICTURE + refine_steps + DECODE if refine_steps else 0
    return pictures + steps + TASKS_BESIDE_STEPS + second_pass


def tasks_of_job(spec: ImageSpec, model: Model, parts: int) -> int:
    is_edit = bool(spec.references)
    return parts * tasks_of_part(model.draw_steps(spec), model.refine_steps(spec), is_edit=is_edit)
