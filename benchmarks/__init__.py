"""What Pipelet costs besides the generation, and what the demo model generates, measured on the real parts.

`python -m benchmarks` runs those of `catalog.py`.
"""
