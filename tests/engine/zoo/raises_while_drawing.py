from tests.engine.zoo.gradient import Gradient

from pipelet.domain.errors import DrawRefused


class Painter(Gradient):
    def draw(self, *, spec, **rest):
        if "please" in spec.prompt:
            raise ZeroDivisionError("steps / 0")
        if "refuse" in spec.prompt:
            raise DrawRefused(f"No pictures of this: {spec.prompt}")
        return super().draw(spec=spec, **rest)
