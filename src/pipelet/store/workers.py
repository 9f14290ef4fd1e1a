"""Workers, and their cost models."""

import json
from dataclasses import asdict
from typing import Any

from pipelet.domain.capacity.cost_model import CostModel
from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.store.queries import DialectQueries, SmallStore
from pipelet.store.rows import Row, from_row


class Workers(SmallStore[DialectQueries]):
    """Implements `domain.ports.store.WorkerStore`, except `add_observation`."""

    async def heartbeat(self, report: WorkerHeartbeat) -> HeartbeatReply:
        values = asdict(report) | {"apps": json.dumps(report.apps)}
        found = await self._queries.write("heartbeat", values, durable=False, notify_watchers=False)
        if not found:
            return HeartbeatReply.NAME_TAKEN
        return HeartbeatReply.DRAIN if found[0]["draining"] else HeartbeatReply.CONTINUE

    async def drain(self, name: str, now: float) -> bool:
        return bool(await self._queries.write("drain_worker", {"name": name, "now": now}, notify_watchers=False))

    async def undrain(self, name: str, now: float) -> bool:
        return bool(await self._queries.write("undrain_worker", {"name": name, "now": now}, notify_watchers=False))

    async def deregister(self, name: str, incarnation: str) -> None:
        values = {"name": name, "incarnation": incarnation}
        await self._queries.write("deregister_worker", values, durable=False, notify_watchers=False)

    async def live(self, now: float) -> list[WorkerHeartbeat]:
        return [_worker_from(row) for row in await self._queries.all("list_live_workers", now=now)]

    async def cost_models(self) -> dict[tuple[str, str], CostModel]:
        found = await self._queries.all("list_cost_models")
        return {(row["profile"], row["phase"]): cost_model_from(row) for row in found}


def _worker_from(row: Row) -> WorkerHeartbeat:
    flags = {name: bool(row[name]) for name in ("ready", "draining")}
    return from_row(WorkerHeartbeat, row, apps=tuple(json.loads(row["apps"])), **flags)


def cost_model_from(row: Row | None) -> CostModel:
    """Return the stored model; an empty one if none is stored."""
    if row is None:
        return CostModel()
    sums = json.loads(row["sums"])
    return CostModel(row["count"], tuple(sums["matrix"]), tuple(sums["vector"]))


def cost_model_columns(model: CostModel) -> dict[str, Any]:
    return {"count": model.count, "sums": json.dumps({"matrix": model.matrix, "vector": model.vector})}
