"""Schema changes. Alembic runs them, and only `pipelet.store.migrations.run` imports it: it takes longer than a start may."""

HEAD = "0001"
"""The newest revision this version of Pipelet knows."""

KNOWN = ("0001",)
