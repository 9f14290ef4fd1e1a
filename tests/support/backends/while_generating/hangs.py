import threading

from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    def generate(self, *, spec, on_progress, **rest):
        if "please" in spec.prompt:
            on_progress(1)
            threading.Event().wait()
        super().generate(spec=spec, on_progress=on_progress, **rest)
