"""What Pipelet costs beside the drawing, and what the model in the box draws, measured on the real parts.

`python -m benchmarks` runs all of it.
"""
