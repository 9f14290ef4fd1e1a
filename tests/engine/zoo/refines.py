from tests.engine.zoo.gradient import Gradient


class Painter(Gradient):
    """Says that it makes the second pass of its model, and draws as ever."""

    def draw(self, *, spec, on_task, **rest):
        super().draw(spec=spec, on_task=on_task, **rest)
        refine_steps = self.model.refine_steps(spec)
        for done in range(refine_steps + 2 if refine_steps else 0):
            on_task(spec.num_inference_steps + 3 + done)
