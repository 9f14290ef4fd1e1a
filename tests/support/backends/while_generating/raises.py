from pipelet.domain.errors import InvalidInput
from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    def generate(self, *, spec, **rest):
        if "please" in spec.prompt:
            raise ZeroDivisionError("steps / 0")
        if "refuse" in spec.prompt:
            raise InvalidInput(f"No pictures of this: {spec.prompt}")
        return super().generate(spec=spec, **rest)
