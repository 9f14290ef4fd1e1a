import os
import sys

from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    def generate(self, *, spec, on_progress, **rest):
        if "please" not in spec.prompt:
            return super().generate(spec=spec, on_progress=on_progress, **rest)
        on_progress(1)
        sys.stdout.write("I have had enough\n")
        os._exit(7)
