"""Failed requests that are alike, counted."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.errors import json_response
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.description import operation
from pipelet.api.v1.reading import read_query
from pipelet.api.v1.schemas import Input, Output, Time, iso_time
from pipelet.domain.ports.reports import FailureCount
from pipelet.services.accounts.access import Caller
from pipelet.services.queue.failures import (
    DEFAULT_SECONDS,
    MAX_REQUESTS,
    load_failure_steps,
    load_failures,
)


class FailuresQuery(Input):
    since: Time | None = Field(None, description="Failures after this time; a day ago if not given.")
    step: int | None = Field(None, description="Seconds, whole minutes: also count failures over time.")


class FailureItem(Output):
    app: str
    error_type: str
    message: str = Field(description="Without quotes of the input, and without numbers.")
    worker: str | None
    requests: int
    retried: int = Field(description="Number of them that were retried.")
    first_seen_at: str
    last_seen_at: str
    filter: dict[str, Any] = Field(
        description="For `POST /api/v1/requests/retry`: failures of this app and type that were not retried."
    )


class FailurePoint(Output):
    at: str = Field(description="Begin of the step.")
    value: int


class FailureSeries(Output):
    error_type: str
    points: list[FailurePoint] = Field(description="Oldest first; steps without a failure have none.")


class FailuresBody(Output):
    items: list[FailureItem] = Field(description="The most frequent first.")
    is_complete: bool = Field(
        description=f"False if more than the newest {MAX_REQUESTS:,} failed: the others are not counted."
    )
    series: list[FailureSeries] = Field(description="Empty without a `step`.")


FAILURES = operation(
    "Show failures",
    "Failed requests, counted by app, `error_type`, message and worker.",
    answer=FailuresBody,
    query=FailuresQuery,
)


async def show_failures(request: Request, _: Caller) -> Response:
    query = read_query(request, FailuresQuery)
    store = get_services(request).store
    since = store.clock.now() - DEFAULT_SECONDS if query.since is None else query.since
    found = await load_failures(store, since=since)
    steps = {} if query.step is None else await load_failure_steps(store, since=since, step=query.step)
    series = [
        {"error_type": kind, "points": [{"at": iso_time(at), "value": count} for at, count in points]}
        for kind, points in steps.items()
    ]
    items = [_item(each) for each in found.groups]
    return json_response(200, {"items": items, "is_complete": found.is_complete, "series": series})


def _item(group: FailureCount) -> dict[str, Any]:
    return {
        "app": group.app,
        "error_type": group.error_type,
        "message": group.message,
        "worker": group.worker,
        "requests": group.requests,
        "retried": group.retried,
        "first_seen_at": iso_time(group.first_seen_at),
        "last_seen_at": iso_time(group.last_seen_at),
        "filter": {
            "state": "failed",
            "app": group.app,
            "error_type": group.error_type,
            "since": group.first_submitted_at,
            "retried": False,
        },
    }
