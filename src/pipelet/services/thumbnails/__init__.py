"""Thumbnails of finished images: small WebP files that are deleted with their request."""
