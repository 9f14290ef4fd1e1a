"""Pipelet's own API, `/api/v1`."""
