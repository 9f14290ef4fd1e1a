"""Schema changes. Alembic runs them; only `run.py` imports it, because that takes longer than a start may."""

HEAD = "0007"
"""The newest revision this version of Pipelet knows."""

KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
