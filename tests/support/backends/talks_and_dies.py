import os
import signal

from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    """Prints every prompt, as some pipelines print what they cut off; dies when asked to."""

    def generate(self, *, spec, **rest):
        print("The following part of your input was truncated:", spec.prompt, flush=True)  # noqa: T201 - as a library would
        if "please" in spec.prompt:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate(spec=spec, **rest)
