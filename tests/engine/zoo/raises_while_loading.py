from tests.engine.zoo.gradient import Gradient


class Painter(Gradient):
    @classmethod
    def load(cls, **rest):
        raise KeyError("weights")
