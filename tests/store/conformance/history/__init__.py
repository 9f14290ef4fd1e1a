"""What every store guarantees for the history of requests."""
