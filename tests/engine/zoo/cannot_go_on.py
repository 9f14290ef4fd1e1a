from tests.engine.zoo.gradient import Gradient


class Painter(Gradient):
    """What `engine/diffusers.py` does after a device-side assert."""

    def draw(self, *, spec, **rest):
        if "please" in spec.prompt:
            raise SystemExit("The device is in a bad state.")
        return super().draw(spec=spec, **rest)
