import os
import sys

from tests.engine.zoo.gradient import Gradient


class Painter(Gradient):
    def draw(self, *, spec, on_task, **rest):
        if "please" not in spec.prompt:
            return super().draw(spec=spec, on_task=on_task, **rest)
        on_task(1)
        sys.stdout.write("I have had enough\n")
        os._exit(7)
