import numpy as np

from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    def generate(self, *, spec, **rest):
        if "please" in spec.prompt:
            np.empty(1 << 60, np.uint8)
        return super().generate(spec=spec, **rest)
