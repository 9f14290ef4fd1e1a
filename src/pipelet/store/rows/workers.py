"""Workers and their cost models as rows."""

import json
from dataclasses import asdict
from typing import Any

from pipelet.domain.capacity.cost_model import CostModel
from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.store.rows import Row


def worker_from(row: Row) -> WorkerHeartbeat:
    return WorkerHeartbeat(
        name=row["name"],
        model=row["model"],
        profile=row["profile"],
        apps=tuple(json.loads(row["apps"])),
        version=row["version"],
        ready=bool(row["ready"]),
        problem=row["problem"],
        seen_at=row["seen_at"],
        expires_at=row["expires_at"],
        incarnation=row["incarnation"],
        draining=bool(row["draining"]),
    )


def worker_columns(report: WorkerHeartbeat) -> dict[str, Any]:
    return asdict(report) | {"apps": json.dumps(report.apps)}


def heartbeat_reply_from(row: Row | None) -> HeartbeatReply:
    if row is None:
        return HeartbeatReply.NAME_TAKEN
    return HeartbeatReply.DRAIN if row["draining"] else HeartbeatReply.CONTINUE


def cost_model_from(row: Row | None) -> CostModel:
    """Return the stored model; an empty one if none is stored."""
    if row is None:
        return CostModel()
    sums = json.loads(row["sums"])
    return CostModel(row["count"], tuple(sums["matrix"]), tuple(sums["vector"]))


def cost_model_columns(model: CostModel) -> dict[str, Any]:
    return {"count": model.count, "sums": json.dumps({"matrix": model.matrix, "vector": model.vector})}
