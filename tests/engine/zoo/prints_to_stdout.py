import os
import sys

from tests.engine.zoo.gradient import Gradient


class Painter(Gradient):
    def draw(self, **rest):
        sys.stdout.write('["Drawn", {"number": 1, "seconds": 0}]\n')
        os.write(1, b"\r 10%|#    |" * 100_000)
        os.write(2, b"\xff\xfe warning\n")
        return super().draw(**rest)
