"""Series: samples of the service over time, for charts."""

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from pipelet.domain.capacity.series import Gauges, Histogram, MinuteEnds, MinuteSample
from pipelet.domain.errors import InvalidQuery
from pipelet.domain.ports.store import Store
from pipelet.domain.ports.usage import HISTOGRAMS
from pipelet.services.queue.accounting import SAMPLE_RETENTION_MINUTES

SeriesName = Literal[
    "depth", "oldest", "running", "workers", "finished", "failed", "queue_wait", "total", "estimate_error"
]
NAMES: tuple[SeriesName, ...] = get_args(SeriesName)
DEFAULT_SECONDS = 24 * 3600.0
"""Seconds that a series covers if nothing else is given."""
MIN_STEP = 60
_MAX_POINTS = 2_000
_DEFAULT_POINTS = 360
_MINUTES_PER_QUERY = 1440
"""Minutes that one query reads, in a few milliseconds; other tasks run in between."""

_GAUGES: dict[SeriesName, Callable[[Gauges], float | None]] = {
    "depth": lambda gauges: gauges.queued,
    "oldest": lambda gauges: gauges.oldest_seconds,
    "running": lambda gauges: gauges.running,
    "workers": lambda gauges: gauges.workers,
}
_COUNTS: dict[SeriesName, Callable[[MinuteEnds], int]] = {
    "finished": lambda ends: ends.finished,
    "failed": lambda ends: ends.failed,
}
_HISTOGRAMS: dict[SeriesName, Callable[[MinuteEnds], Histogram]] = {
    "queue_wait": lambda ends: ends.queue_wait,
    "total": lambda ends: ends.total,
    "estimate_error": lambda ends: ends.estimate_error,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step of a series. A gauge is the largest of its samples, a count is a sum; the others are percentiles."""

    at: float
    """Begin of the step, in seconds since the epoch."""
    value: float | None = None
    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Steps without a sample have no point."""

    name: SeriesName
    step: int
    """Seconds."""
    points: dict[str, list[Point]]
    """By app, oldest first."""


async def load_series(store: Store, name: SeriesName, *, since: float | None = None, step: int | None = None) -> Series:
    """Read a series up to now.

    Args:
        since: seconds since the epoch; a day ago by default.
        step: seconds, whole minutes; by default such that there are at most 360 steps.

    Raises:
        InvalidQuery: the step is not a number of minutes, or there would be more than 2,000 steps.
    """
    now = store.clock.now()
    end = int(now // 60) + 1
    first = int((now - DEFAULT_SECONDS if since is None else since) // 60)
    first = min(max(first, end - SAMPLE_RETENTION_MINUTES), end)
    minutes = _minutes_per_step(end - first, step)
    first -= first % minutes  # so that steps begin at the same times in every call
    steps: dict[tuple[str, int], list[MinuteSample]] = {}
    histograms = [each for each in HISTOGRAMS if each == name]
    for begin in range(first, end, _MINUTES_PER_QUERY):
        until = min(begin + _MINUTES_PER_QUERY, end)
        for sample in await store.usage.samples(begin, until, minutes=minutes, histograms=histograms):
            steps.setdefault((sample.app, sample.minute // minutes), []).append(sample)
        await asyncio.sleep(0)
    points: dict[str, list[Point]] = {}
    for (app, number), found in sorted(steps.items()):
        points.setdefault(app, []).extend(_points(name, found, 60.0 * number * minutes))
    return Series(name=name, step=60 * minutes, points=points)


def _minutes_per_step(minutes: int, step: int | None) -> int:
    if step is None:
        return max(1, math.ceil(minutes / _DEFAULT_POINTS))
    if step < MIN_STEP or step % MIN_STEP:
        raise InvalidQuery(f"The step has to be a multiple of {MIN_STEP} seconds.")
    if minutes * MIN_STEP > _MAX_POINTS * step:
        raise InvalidQuery(f"There are more than {_MAX_POINTS:,} steps. Give a longer step, or a later begin.")
    return step // MIN_STEP


def _points(name: SeriesName, samples: list[MinuteSample], at: float) -> Iterator[Point]:
    """The point of one step, if there is one, from the samples of all queries that it spans."""
    if name in _GAUGES:
        gauges = [sample.gauges for sample in samples if sample.gauges is not None]
        values = [value for each in gauges if (value := _GAUGES[name](each)) is not None]
        if values:
            yield Point(at=at, value=max(values))
    elif name in _COUNTS:
        yield Point(at=at, value=sum(_COUNTS[name](sample.ends) for sample in samples))
    else:
        histogram = Histogram()
        for sample in samples:
            histogram.merge(_HISTOGRAMS[name](sample.ends))
        if (p50 := histogram.percentile(0.5)) is not None:
            yield Point(at=at, p50=p50, p95=histogram.percentile(0.95))
