"""The second pass: image-to-image at the size that was asked for, over a picture that was drawn smaller."""

import math


def schedule(steps: int, strength: float) -> int:
    """Steps of the whole schedule, of which the second pass takes the last ones: `steps`, or as many as it takes for
    `strength` to be one step of it. Of a shorter one the first step would be among them, and nothing left of the
    picture."""
    return max(steps, math.ceil(1 / strength))


def steps_taken(steps: int, strength: float) -> int:
    """As diffusers' flow-matching pipelines round it."""
    whole = schedule(steps, strength)
    return whole - int(whole - whole * strength)
