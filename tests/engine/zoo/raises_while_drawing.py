from tests.engine.zoo.gradient import Gradient

from pipelet.domain.errors import DrawRefused


class Painter(Gradient):
    def draw(self, *, spec, **rest):
        if "please" in spec.prompt:
            raise ZeroDivisionError("steps / 0")
        if "refuse" in spec.prompt:
            raise DrawRefused("No pictures of this.")
        return super().draw(spec=spec, **rest)
