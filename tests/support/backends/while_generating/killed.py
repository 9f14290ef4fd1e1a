import os
import signal

from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    def generate(self, *, spec, on_progress, **rest):
        if "please" in spec.prompt:
            on_progress(1)
            os.kill(os.getpid(), signal.SIGKILL)
        super().generate(spec=spec, on_progress=on_progress, **rest)
