import os
import sys

from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    def generate(self, **rest):
        sys.stdout.write('["Drawn", {"number": 1, "seconds": 0}]\n')
        os.write(1, b"\r 10%|#    |" * 100_000)
        os.write(2, b"\xff\xfe warning\n")
        return super().generate(**rest)
