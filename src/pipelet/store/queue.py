"""The queue: positions, running jobs, counts, and the operator's control."""

from collections.abc import Sequence
from typing import Any

from pipelet.domain.accounts.limits import queued_quota_exceeded
from pipelet.domain.capacity.cost_model import WorkAhead
from pipelet.domain.capacity.forecast import RunningJob
from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.jobs.job import MIN_PRIORITY, Job
from pipelet.domain.jobs.queue_order import AccountId, Arrival, QueueOrder
from pipelet.domain.ports.store import CompletedCounts, QueueCounts
from pipelet.store.queries import QUOTA_SCAN_LIMIT, DialectQueries, SmallStore
from pipelet.store.rows import Row, progress_from, work_from


class Queue(SmallStore[DialectQueries]):
    """Implements `domain.ports.store.QueueStore`, except positions, `set_order`, `set_priority`, `move_to_front` and
    `cancel_queued`."""

    async def backlog(self, priority: int, apps: Sequence[str]) -> WorkAhead:
        [row] = await self._queries.all("backlog", apps=tuple(apps), priority=priority)
        return work_ahead_from(row)

    async def order(self) -> QueueOrder:
        [row] = await self._queries.all("get_order")
        return QueueOrder(row["name"])

    async def delete_idle_accounts(self, after: AccountId | None, limit: int) -> AccountId | None:
        first = after or AccountId("", MIN_PRIORITY, "")
        bounds = {"after_model": first.model, "after_priority": first.priority, "after_owner": first.user}
        found = await self._queries.all("list_accounts", limit=limit, **bounds)
        if not found:
            await self._queries.write("delete_idle_clocks", {}, durable=False, notify_watchers=False)
            return None
        last = AccountId(found[-1]["model"], found[-1]["priority"], found[-1]["owner"])
        if any(row["is_idle"] for row in found):
            bounds |= {"last_model": last.model, "last_priority": last.priority, "last_owner": last.user}
            await self._queries.write("delete_idle_accounts", bounds, durable=False, notify_watchers=False)
        return last

    async def work_until_quota_frees(
        self, key_id: str | None, images: int, apps: Sequence[str], *, user: str | None = None
    ) -> WorkAhead | None:
        values = {"images": images, "apps": tuple(apps), "scan_limit": QUOTA_SCAN_LIMIT}
        row = await self._queries.one("work_until_quota_frees", key_id=key_id, owner=user, **values)
        return work_ahead_from(row) if row is not None and row["known"] else None

    async def is_blocked_by_quota(self, job: Job) -> bool:
        values = {
            "key_id": job.key_id,
            "owner": job.user,
            "user_limited": job.is_user_limited,
            "image_count": job.spec.batch_size,
        }
        return job.is_limited and await self._queries.one("key_at_running_limit", **values) is not None

    async def queued_quota_exceeded(self, key_id: str, images: int) -> QuotaExceeded | None:
        full = await self._queries.one("key_at_queued_limit", key_id=key_id, image_count=images)
        return None if full is None else quota_error(full, images)

    async def running(self, apps: Sequence[str]) -> list[RunningJob]:
        return [
            RunningJob(row["app"], work_from(row, 1.0), row["started_at"], progress_from(row))
            for row in await self._queries.all("list_running", apps=tuple(apps))
        ]

    async def counts(self) -> dict[str, QueueCounts]:
        running = {row["app"]: row["running"] for row in await self._queries.all("count_running")}
        queued = {row["app"]: row for row in await self._queries.all("count_queued")}
        return {
            app: QueueCounts(
                queued=queued[app]["queued"] if app in queued else 0,
                running=running.get(app, 0),
                oldest_submitted_at=queued[app]["oldest_submitted_at"] if app in queued else None,
            )
            for app in running.keys() | queued.keys()
        }

    async def completed_since(self, since: float) -> dict[str, CompletedCounts]:
        found = await self._queries.all("count_completed", since=since)
        return {row["app"]: CompletedCounts(row["requests"], row["images"]) for row in found}

    async def pause(self, app: str, now: float) -> bool:
        return bool(await self._queries.write("pause_app", {"app": app, "now": now}))

    async def resume(self, app: str) -> bool:
        return bool(await self._queries.write("resume_app", {"app": app}, notify_workers=True))

    async def paused(self) -> dict[str, float]:
        return {row["app"]: row["since"] for row in await self._queries.all("list_paused_apps")}

    async def list_queued(self, *, user: str | None = None, key_id: str | None = None) -> list[str]:
        return [row["id"] for row in await self._queries.all("list_queued", user=user, key_id=key_id)]


def arrival_columns(arrival: Arrival) -> dict[str, Any]:
    """Return the parameters of `next_turn`; `user` is a reserved word of SQL."""
    return {"app": arrival.app, "model": arrival.model, "priority": arrival.priority, "owner": arrival.user}


def work_ahead_from(row: Row) -> WorkAhead:
    return WorkAhead(row["requests"], work_from(row, float(row["requests"])))


def quota_error(full: Row, images: int) -> QuotaExceeded:
    """Return the error for a request of `images` images, from a row with what is used of its key's quota."""
    return queued_quota_exceeded(queued=full["queued_images"], allowed=full["max_queued_images"], images=images)
