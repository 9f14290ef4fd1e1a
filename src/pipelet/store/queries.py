"""Loads the SQL: one query a file, named for what it does."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

ROOM_WITHIN = 256
"""So many requests at the head of the queue `ahead_of_room` looks at."""

_NAME = re.compile(r"(?<![:\w]):([a-z_]+)")


@cache
def load(dialect: str) -> Mapping[str, str]:
    """All queries of a dialect, by file name without its ending."""
    folder = files("pipelet.store") / "sql" / dialect
    return {entry.name.removesuffix(".sql"): entry.read_text("utf-8") for entry in folder.iterdir()}


class Numbered(NamedTuple):
    """A query whose values have numbers, as PostgreSQL's protocol wants them: `names[0]` is `$1`."""

    text: str
    names: tuple[str, ...]


def numbered(query: str) -> Numbered:
    """`:name` becomes `$1`, `$2` and so on; `::type` stays."""
    names = tuple(dict.fromkeys(_NAME.findall(query)))
    return Numbered(_NAME.sub(lambda found: f"${1 + names.index(found[1])}", query), names)
