"""The real pipeline, with the notes of `painters`. Apart, because importing it imports torch."""

from benchmarks.painters import Stamping
from pipelet.engine.diffusers import DiffusersModel


class StampedPipeline(Stamping, DiffusersModel):
    pass
