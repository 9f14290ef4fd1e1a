"""Pipelet: self-hosted image generation behind a durable priority queue."""

__version__ = "0.1.0"
USER_AGENT = f"Pipelet/{__version__}"
"""What servers that users chose, and our bucket, see us as."""
