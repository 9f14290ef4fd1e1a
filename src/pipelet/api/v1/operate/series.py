"""Samples of the service over time."""

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.errors import json_response
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.description import operation
from pipelet.api.v1.reading import read_query
from pipelet.api.v1.schemas import Input, Output, Time, iso_time
from pipelet.services.accounts.access import Caller
from pipelet.services.queue.series import MIN_STEP, Point, SeriesName, load_series


class SeriesQuery(Input):
    name: SeriesName = Field(description="What the series is about.")
    since: Time | None = Field(None, description="Begin; a day ago if not given. Samples are kept for 30 days.")
    step: int | None = Field(
        None, ge=MIN_STEP, le=30 * 86_400, description="Seconds, whole minutes; chosen by the service if not given."
    )


class PointBody(Output):
    at: str
    value: float | None = None
    p50: float | None = None
    p95: float | None = None


class AppSeries(Output):
    app: str
    points: list[PointBody] = Field(description="Oldest first; steps without a sample are left out.")


class SeriesBody(Output):
    name: SeriesName
    step: int
    series: list[AppSeries]


SERIES = operation(
    "Show a series",
    "Samples by the minute. `depth`, `oldest` (seconds), `running` and `workers` have the largest `value` of each "
    "step, `finished` and `failed` the sum; `queue_wait` and `total` (seconds) and `estimate_error` (a share of the "
    "real time) have `p50` and `p95`, exact to an eighth.",
    answer=SeriesBody,
    query=SeriesQuery,
)


async def show_series(request: Request, _: Caller) -> Response:
    query = read_query(request, SeriesQuery)
    found = await load_series(get_services(request).store, query.name, since=query.since, step=query.step)
    series = [{"app": app, "points": [_point(each) for each in points]} for app, points in found.points.items()]
    return json_response(200, {"name": found.name, "step": found.step, "series": series})


def _point(point: Point) -> dict[str, object]:
    if point.p50 is None:
        return {"at": iso_time(point.at), "value": point.value}
    return {"at": iso_time(point.at), "p50": round(point.p50, 3), "p95": round(point.p95 or 0.0, 3)}
