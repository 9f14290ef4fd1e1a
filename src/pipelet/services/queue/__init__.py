"""The queue: estimates, overview, administration and maintenance."""
