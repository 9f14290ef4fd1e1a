"""Loads the SQL: one query a file, named for what it does."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def load(dialect: str) -> Mapping[str, str]:
    """All queries of a dialect, by file name without its ending."""
    folder = files("pipelet.store") / "sql" / dialect
    return {entry.name.removesuffix(".sql"): entry.read_text("utf-8") for entry in folder.iterdir()}
