"""Dashboard: all that an operator sees at a glance."""

from dataclasses import dataclass

from pipelet.domain.catalog import Catalog
from pipelet.domain.ports.reports import PriorityCount, RunningRequest, UserCount
from pipelet.domain.ports.store import Store
from pipelet.services.queue.overview import Overview, load_overview

MAX_USERS = 20
MAX_RUNNING = 200
USER_SCAN_LIMIT = 2_000
"""Queued requests of each app that are counted by user: a count of a million would block other work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    at: float
    """Seconds since the epoch; ages in `overview` are counted to it."""
    overview: Overview
    by_priority: list[PriorityCount]
    by_user: list[UserCount]
    """The users with the most requests, at most `MAX_USERS`, among `USER_SCAN_LIMIT` queued ones of each app."""
    running: list[RunningRequest]
    """The longest running first, at most `MAX_RUNNING`."""


async def load_dashboard(store: Store, catalog: Catalog) -> Dashboard:
    now = store.clock.now()
    overview = await load_overview(store, catalog, now=now)
    apps = [queue.app for queue in overview.apps if queue.queued]
    return Dashboard(
        at=now,
        overview=overview,
        by_priority=await store.reports.queued_by_priority(),
        by_user=await store.reports.queued_by_user(apps, scan_limit=USER_SCAN_LIMIT, limit=MAX_USERS),
        running=await store.reports.running(MAX_RUNNING),
    )
