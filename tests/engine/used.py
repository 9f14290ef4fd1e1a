"""Asks painters what they used of a request."""

import numpy as np


def used_by(painter, spec, references=()):
    """What the painter says it used of `spec`."""
    report = painter.draw(
        spec=spec,
        first=0,
        count=1,
        references=references,
        out=np.zeros((1, spec.height, spec.width, 3), np.uint8),
        on_task=lambda done: None,
        is_cancelled=lambda: False,
    )
    return report.used
