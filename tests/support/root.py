"""Tests that need other users."""

import os

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to own files and start processes as other users")
"""Skips a test of a developer who is not root. CI runs as root."""
