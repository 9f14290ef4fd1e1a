"""Progress of a running job, counted in tasks: units of real work."""

from dataclasses import dataclass

from pipelet.domain.generation.plan import GenerationPlan

ENCODE_PROMPT = 1
ENCODE_IMAGE = 1
DECODE = 1
WRITE_FILES = 1
STORE_FILES = 1
TASKS_WITHOUT_STEPS = ENCODE_PROMPT + DECODE + WRITE_FILES + STORE_FILES


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` tasks. Within an attempt `done` never falls, and `total` is constant."""

    done: int
    total: int

    def __str__(self) -> str:
        return f"Progress: {self.done}/{self.total} Tasks done"


def tasks_per_micro_batch(steps: int, refine_steps: int, *, is_edit: bool) -> int:
    """Count encoding the prompt, each denoising step, decoding, encoding the files and storing them: 8 steps make 12.

    An edit adds encoding its input images. A second pass adds encoding the result of the first, each of its own steps,
    and decoding again.
    """
    inputs = ENCODE_IMAGE if is_edit else 0
    second_pass = ENCODE_IMAGE + refine_steps + DECODE if refine_steps else 0
    return inputs + steps + TASKS_WITHOUT_STEPS + second_pass


def tasks_per_job(plan: GenerationPlan, micro_batches: int) -> int:
    is_edit = bool(plan.spec.input_images)
    return micro_batches * tasks_per_micro_batch(plan.denoise_steps, plan.refine_steps, is_edit=is_edit)
