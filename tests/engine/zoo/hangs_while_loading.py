import sys
import threading

from tests.engine.zoo.gradient import Gradient


class Painter(Gradient):
    @classmethod
    def load(cls, **rest):
        sys.stdout.write("fetching weights\n")
        threading.Event().wait()
