"""Pipelet over HTTP: fal's queue routes, signed files, health and metrics."""
