"""What Pipelet costs beside the drawing, measured on the real parts. `python -m benchmarks` runs all of it."""
