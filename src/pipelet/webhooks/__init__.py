"""Calls webhook endpoints when requests have ended."""
