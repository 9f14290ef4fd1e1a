from tests.support.backends.gradient import Gradient


class Backend(Gradient):
    @classmethod
    def load(cls, **rest):
        raise KeyError("weights")
