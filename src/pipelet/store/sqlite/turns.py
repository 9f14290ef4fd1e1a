"""Turns in the embedded store: which turn a request gets, and what its user is charged for it."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from pipelet.store.sqlite.connection.queries import SQL, fetch


def take_turn(db: sqlite3.Connection, job: Mapping[str, Any]) -> dict[str, Any]:
    """Charge the user of a request that arrives in a level, unless the order is `fifo`. Return the columns of its turn.

    Args:
        job: the columns `model`, `app`, `priority`, `owner` and `turn_cost`.
    """
    [found] = fetch(db, "next_turn", job)
    if found["start"] is None:
        return {"turn": found["turn"], "charged_priority": None}
    db.execute(SQL["charge_turn"], {**job, "start": found["start"]})
    return {"turn": found["turn"], "charged_priority": job["priority"]}


def return_turn(db: sqlite3.Connection, job: Mapping[str, Any]) -> None:
    """Refund what the user of a queued job was charged for it, if anything."""
    db.execute(SQL["refund_turn"], job)
