import sys

from tests.engine.zoo.gradient import Gradient


class Painter(Gradient):
    @classmethod
    def load(cls, **rest):
        sys.exit("no such device")
