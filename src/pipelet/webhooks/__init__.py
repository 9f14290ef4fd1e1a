"""Tells receivers that their requests have ended."""
