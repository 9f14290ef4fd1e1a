from pipelet.domain.errors import OutOfMemory
from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    def generate(self, *, count, **rest):
        if count > 1:
            raise OutOfMemory(f"{count} images do not fit.")
        return super().generate(count=count, **rest)
