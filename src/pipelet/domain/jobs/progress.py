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


def tasks_per_job(plan: GenerationPlan, micro_batches: int) -> int:
    """Count, for each micro-batch, encoding the prompt, each denoising step, decoding, encoding the files and storing
    them: 8 steps make 12.

    An edit adds encoding its input images. A second pass adds encoding the result of the first, each of its own steps,
    and decoding again.
    """
    inputs = ENCODE_IMAGE if plan.spec.input_images else 0
    second_pass = ENCODE_IMAGE + plan.refine_steps + DECODE if plan.refine_steps else 0
    return micro_batches * (inputs + plan.denoise_steps + TASKS_WITHOUT_STEPS + second_pass)
