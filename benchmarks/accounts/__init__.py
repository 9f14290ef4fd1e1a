"""Measurements of accounting."""
