"""Generates queued jobs and stores their files: claim, generate, encode, store, finish."""
