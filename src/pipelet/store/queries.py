"""Loads the SQL: one query per file, named for what it does, in a folder for each small store."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

QUOTA_SCAN_LIMIT = 256
"""Maximum requests at the head of the queue that `work_until_quota_frees` reads."""

_NAME = re.compile(r"(?<![:\w]):([a-z_]+)")


@cache
def load(dialect: str) -> Mapping[str, str]:
    """Return all queries of a dialect, by file name without its ending."""
    return {path.stem: path.read_text("utf-8") for path in (Path(__file__).parent / "sql" / dialect).glob("*/*.sql")}


class Numbered(NamedTuple):
    """A query with numbered parameters, as PostgreSQL's protocol requires: `names[0]` is `$1`."""

    text: str
    names: tuple[str, ...]


def numbered(query: str) -> Numbered:
    """Replace `:name` by `$1`, `$2` and so on; `::type` stays."""
    names = tuple(dict.fromkeys(_NAME.findall(query)))
    return Numbered(_NAME.sub(lambda found: f"${1 + names.index(found[1])}", query), names)
