import sys

from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    @classmethod
    def load(cls, **rest):
        sys.exit("no such device")
