"""The SQL, one query per file, named for what it does; and how the small stores run single queries by name.

`sql/shared/` holds the queries that both dialects take, `sql/<dialect>/` the others, in a folder for each small store.
Text that several queries share is a file in a folder `parts/`; `{name}` in a query stands for it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pipelet.store.rows import Row

QUOTA_SCAN_LIMIT = 256
"""Maximum requests at the head of the queue that `work_until_quota_frees` reads."""

_NAME = re.compile(r"(?<![:\w]):([a-z_]+)")
_PART = re.compile(r"{([a-z_]+)}")


@cache
def load(dialect: str) -> Mapping[str, str]:
    """Return all queries of a dialect, by file name without its ending."""
    parts = _read(dialect, "*/parts/*.sql")
    queries = _read(dialect, "*/*.sql")
    return {name: _PART.sub(lambda found: parts[found[1]], text) for name, text in queries.items()}


def _read(dialect: str, pattern: str) -> dict[str, str]:
    folder = Path(__file__).parent / "sql"
    paths = [path for name in ("shared", dialect) for path in (folder / name).glob(pattern)]
    return {path.stem: path.read_text("utf-8") for path in paths}


class Numbered(NamedTuple):
    """A query with numbered parameters, as PostgreSQL's protocol requires: `names[0]` is `$1`."""

    text: str
    names: tuple[str, ...]


def numbered(query: str) -> Numbered:
    """Replace `:name` by `$1`, `$2` and so on; `::type` stays."""
    names = tuple(dict.fromkeys(_NAME.findall(query)))
    return Numbered(_NAME.sub(lambda found: f"${1 + names.index(found[1])}", query), names)


Statement = tuple[str, Mapping[str, Any]]
"""The name of a query, and its values."""


class Queries(ABC):
    """Runs single queries of a dialect by name. A value may be a list or a tuple, which the query reads as rows."""

    unique_violation: type[Exception]
    """What a write raises for a key that is taken."""

    @abstractmethod
    async def all(self, query: str, **values: Any) -> Sequence[Row]:
        """Read rows."""

    async def one(self, query: str, **values: Any) -> Row | None:
        return next(iter(await self.all(query, **values)), None)

    @abstractmethod
    async def write(
        self,
        query: str,
        values: Mapping[str, Any],
        *,
        durable: bool = True,
        notify_workers: bool = False,
        notify_watchers: bool = True,
    ) -> Sequence[Row]:
        """Run one statement as a transaction, and return its rows.

        Args:
            durable: wait until it is on disk; otherwise a power cut may undo it.
            notify_workers: there may be work to claim.
            notify_watchers: the status of a request may have changed.
        """

    @abstractmethod
    async def write_all(
        self, statements: Sequence[Statement], *, notify_workers: bool = False, notify_watchers: bool = True
    ) -> Sequence[Row]:
        """Run statements as one transaction, each only if the one before has returned rows. Return the first one's
        rows. The flags are those of `write`."""


DialectQueries = TypeVar("DialectQueries", bound=Queries)


class SmallStore(Generic[DialectQueries]):
    """Implements one of the ports of `domain.ports.store`, as far as the dialects do the same."""

    def __init__(self, queries: DialectQueries) -> None:
        self._queries = queries
