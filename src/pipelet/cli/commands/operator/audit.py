"""`pipelet audit`: who did what."""

import json
from typing import Any

from cyclopts.types import PositiveInt

from pipelet import settings
from pipelet.cli.options import AsJson, DataDir
from pipelet.cli.output import date, print_table
from pipelet.domain.accounts.audit import StoredEntry, Values
from pipelet.wiring.store import open_store

_COLUMNS = ("id", "at", "user", "key", "address", "action", "target", "before", "after")


async def audit(*, limit: PositiveInt = 50, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List administrative acts, newest first: of the command line, where `key` is empty and `user` is the user of the
    operating system, and of the API. Entries are kept for 400 days.

    For example:

        pipelet audit

        pipelet audit --limit 1000 --json

    Parameters
    ----------
    limit
        Maximum number of entries.
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        entries = await store.audit.list_entries(limit)
    if as_json:
        print(json.dumps([_facts(entry) for entry in entries]))
        return
    print_table(_COLUMNS, map(_row, entries))


def _facts(entry: StoredEntry) -> dict[str, Any]:
    actor = entry.actor
    return {
        "id": entry.id,
        "at": date(entry.at),
        "user": actor.name,
        "key": actor.key_id,
        "address": actor.address,
        "action": entry.action,
        "target": entry.target,
        "before": entry.before,
        "after": entry.after,
    }


def _row(entry: StoredEntry) -> list[object]:
    facts = _facts(entry) | {"before": _in_words(entry.before), "after": _in_words(entry.after)}
    return [facts[name] for name in _COLUMNS]


def _in_words(values: Values | None) -> str | None:
    if not values:
        return None
    return " ".join(f"{name}={'none' if value is None else value}" for name, value in values.items())
