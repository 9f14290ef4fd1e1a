import threading

from tests.engine.zoo.gradient import Gradient


class Painter(Gradient):
    def draw(self, *, spec, on_task, **rest):
        if "please" in spec.prompt:
            on_task(1)
            threading.Event().wait()
        super().draw(spec=spec, on_task=on_task, **rest)
