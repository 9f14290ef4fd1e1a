from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    """What `engine/diffusers/backend.py` does after a device-side assert."""

    def generate(self, *, spec, **rest):
        if "please" in spec.prompt:
            raise SystemExit("The device is in a bad state.")
        return super().generate(spec=spec, **rest)
