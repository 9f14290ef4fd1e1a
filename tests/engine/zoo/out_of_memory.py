import numpy as np
from tests.engine.zoo.gradient import Gradient


class Painter(Gradient):
    def draw(self, *, spec, **rest):
        if "please" in spec.prompt:
            np.empty(1 << 60, np.uint8)
        return super().draw(spec=spec, **rest)
