"""The real pipeline, with the notes of `backends`. Apart, because importing it imports torch."""

from benchmarks.lib.backends import Stamping
from pipelet.engine.diffusers.backend import DiffusersBackend


class StampedPipeline(Stamping, DiffusersBackend):
    pass
