"""Benchmarks of the APIs that borrow the protocol of another service."""
