"""Uploads as fal's clients make them, on the uploads of `/api/v1`."""
