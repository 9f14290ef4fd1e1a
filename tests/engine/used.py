"""Asks backends what they used of a request."""

import numpy as np


def used_by(backend, spec, input_images=()):
    """What the backend says it used of `spec`."""
    report = backend.generate(
        spec=spec,
        first=0,
        count=1,
        input_images=input_images,
        out=np.zeros((1, spec.height, spec.width, 3), np.uint8),
        on_progress=lambda done: None,
        is_cancelled=lambda: False,
    )
    return report.used
