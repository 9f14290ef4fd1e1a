"""Helpers for loops and tasks, with nothing of Pipelet in them."""
