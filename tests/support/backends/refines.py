from pipelet.domain.generation.plan import plan_generation
from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    """Says that it makes the second pass of its model, and generates as ever."""

    def generate(self, *, spec, on_progress, **rest):
        super().generate(spec=spec, on_progress=on_progress, **rest)
        refine_steps = plan_generation(spec, self.model).refine_steps
        for done in range(refine_steps + 2 if refine_steps else 0):
            on_progress(spec.num_inference_steps + 3 + done)
