"""The queue, its running requests and its workers, at a glance."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.errors import json_response
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.description import operation
from pipelet.api.v1.schemas import Output, iso_time
from pipelet.domain.ports.reports import RunningRequest
from pipelet.services.accounts.access import Caller
from pipelet.services.queue.dashboard import MAX_RUNNING, MAX_USERS, USER_SCAN_LIMIT, Dashboard, load_dashboard
from pipelet.services.queue.overview import AppQueue, WorkerState


class AppOverview(Output):
    app: str
    queued: int
    running: int
    oldest_submitted_at: str | None = Field(description="When the oldest queued request was submitted.")
    drain_seconds: float | None = Field(
        description="Predicted seconds until all that are queued have started; null without a worker, or while paused."
    )
    paused_at: str | None
    requests_per_minute: float = Field(description="Requests that succeeded, over the last five minutes.")
    images_per_minute: float


class PriorityOverview(Output):
    app: str
    priority: int
    queued: int


class UserOverview(Output):
    user: str
    queued: int = Field(description=f"Among {USER_SCAN_LIMIT:,} queued requests of each app.")


class Progress(Output):
    done: int
    total: int


class RunningOverview(Output):
    id: str
    app: str
    user: str
    priority: int
    images: int
    worker: str
    attempt: int
    started_at: str
    progress: Progress | None


class WorkerOverview(Output):
    name: str
    profile: str
    apps: list[str]
    version: str
    state: str = Field(description="`ready`, `not ready` or `draining`.")
    problem: str | None
    seen_at: str
    megapixel_seconds: float | None = Field(
        description="Learned seconds for an image of one megapixel with the defaults of its model; null before a "
        "worker of its kind has finished a request."
    )


class OverviewBody(Output):
    apps: list[AppOverview]
    by_priority: list[PriorityOverview]
    by_user: list[UserOverview] = Field(description=f"The {MAX_USERS} users with the most queued requests.")
    running: list[RunningOverview] = Field(description=f"At most {MAX_RUNNING}.")
    workers: list[WorkerOverview]


OVERVIEW = operation(
    "Show the queue",
    "Depth by app, priority and user, running requests, workers, and when the queue will be drained.",
    answer=OverviewBody,
)


async def show_overview(request: Request, _: Caller) -> Response:
    services = get_services(request)
    return json_response(200, overview_document(await load_dashboard(services.store, services.catalog)))


def overview_document(dashboard: Dashboard) -> dict[str, Any]:
    """Times are moments, not ages: while nothing happens, the document stays the same."""
    return {
        "apps": [_app(queue, dashboard.at) for queue in dashboard.overview.apps],
        "by_priority": [
            {"app": each.app, "priority": each.priority, "queued": each.requests} for each in dashboard.by_priority
        ],
        "by_user": [{"user": each.user, "queued": each.requests} for each in dashboard.by_user],
        "running": [_running(each) for each in dashboard.running],
        "workers": [_worker(each, dashboard.at) for each in dashboard.overview.workers],
    }


def _app(queue: AppQueue, now: float) -> dict[str, Any]:
    return {
        "app": queue.app,
        "queued": queue.queued,
        "running": queue.running,
        "oldest_submitted_at": _moment(now, queue.oldest_seconds),
        "drain_seconds": None if queue.waiting_seconds is None else round(queue.waiting_seconds),
        "paused_at": _moment(now, queue.paused_seconds),
        "requests_per_minute": queue.requests_per_minute,
        "images_per_minute": queue.images_per_minute,
    }


def _running(each: RunningRequest) -> dict[str, Any]:
    progress = None if each.progress is None else {"done": each.progress.done, "total": each.progress.total}
    return {
        "id": each.id,
        "app": each.app,
        "user": each.user,
        "priority": each.priority,
        "images": each.images,
        "worker": each.worker,
        "attempt": each.attempt,
        "started_at": iso_time(each.started_at),
        "progress": progress,
    }


def _worker(worker: WorkerState, now: float) -> dict[str, Any]:
    return {
        "name": worker.name,
        "profile": worker.kind,
        "apps": list(worker.apps),
        "version": worker.version,
        "state": worker.state,
        "problem": worker.problem,
        "seen_at": _moment(now, worker.seen_seconds),
        "megapixel_seconds": None if worker.megapixel_seconds is None else float(f"{worker.megapixel_seconds:.2g}"),
    }


def _moment(now: float, age: float | None) -> str | None:
    return None if age is None else iso_time(round(now - age, 3))
