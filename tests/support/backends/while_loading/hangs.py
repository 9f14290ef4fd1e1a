import sys
import threading

from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    @classmethod
    def load(cls, **rest):
        sys.stdout.write("fetching weights\n")
        threading.Event().wait()
