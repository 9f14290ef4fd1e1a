"""Limits of keys and users."""
