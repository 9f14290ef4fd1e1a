"""What Pipelet costs beside the drawing, and what the demo model draws, measured on the real parts.

`python -m benchmarks` runs all of it.
"""
