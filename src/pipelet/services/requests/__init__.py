"""Requests: submit, status and results."""
