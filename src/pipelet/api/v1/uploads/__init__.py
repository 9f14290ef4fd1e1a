"""Uploads of images under `/api/v1/uploads`."""
