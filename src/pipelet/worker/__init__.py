"""The loop that turns queued requests into stored files: claim, draw, write, store, record."""
