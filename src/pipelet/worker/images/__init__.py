"""Pixels and files of one image: inputs, resampling, encoding and metadata."""
