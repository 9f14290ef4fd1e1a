"""Pipelet: self-hosted image generation behind a durable priority queue."""

__version__ = "0.1.0"
