"""Positions, running jobs and counts as rows."""

from collections.abc import Iterable

from pipelet.domain.capacity.cost_model import WorkAhead
from pipelet.domain.ports.store import CompletedCounts, QueueCounts, RunningJob
from pipelet.store.rows import Row
from pipelet.store.rows.jobs import progress_from, work_from


def work_ahead_from(row: Row) -> WorkAhead:
    return WorkAhead(row["requests"], work_from(row, float(row["requests"])))


def running_from(row: Row) -> RunningJob:
    return RunningJob(row["app"], work_from(row, 1.0), row["started_at"], progress_from(row))


def counts_from(running: Iterable[Row], queued: Iterable[Row]) -> dict[str, QueueCounts]:
    runs, waits = {row["app"]: row for row in running}, {row["app"]: row for row in queued}
    return {
        app: QueueCounts(
            queued=waits[app]["queued"] if app in waits else 0,
            running=runs[app]["running"] if app in runs else 0,
            oldest_submitted_at=waits[app]["oldest_submitted_at"] if app in waits else None,
        )
        for app in runs.keys() | waits.keys()
    }


def completed_counts_from(found: Iterable[Row]) -> dict[str, CompletedCounts]:
    return {row["app"]: CompletedCounts(row["requests"], row["images"]) for row in found}
