from tests.engine.zoo.gradient import Gradient

from pipelet.domain.errors import DrawOutOfMemory


class Painter(Gradient):
    def draw(self, *, count, **rest):
        if count > 1:
            raise DrawOutOfMemory(f"{count} images do not fit.")
        return super().draw(count=count, **rest)
