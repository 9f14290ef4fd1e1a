"""Samples of the service by the minute: gauges, counts of ended requests, and histograms of their times."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

from pipelet.domain.jobs.job import JobState

_SMALLEST = 0.01
_BUCKETS_PER_DOUBLING = 3
_MAX_BUCKET = 90
"""Everything from 10.7 million on."""


class Histogram:
    """Counts of values by buckets, each 1.26 times as wide as the one before: a percentile is exact to an eighth.

    Args:
        text: what `to_json` returned, or several of them with commas between, which are added up. It is parsed once its
            counts are needed: a chart needs one histogram of three, or none.
    """

    def __init__(self, text: str = "") -> None:
        self._text = text

    @cached_property
    def _counts(self) -> Counter[int]:
        counts: Counter[int] = Counter()
        # A chart of a week adds up 20,000 histograms with few different entries. To look these up is many times as fast
        # as to parse the whole text.
        for entry, times in Counter(self._text.replace("{", "").replace("}", "").split(",")).items():
            bucket, count = _parse_entry(entry)
            if count:
                counts[bucket] += count * times
        return counts

    def add(self, value: float) -> None:
        """Count a value; one below zero counts as zero."""
        exact = _BUCKETS_PER_DOUBLING * math.log2(value / _SMALLEST) if value > _SMALLEST else 0.0
        self._counts[min(math.ceil(exact), _MAX_BUCKET)] += 1

    def merge(self, other: "Histogram") -> None:
        """Add the counts of another histogram."""
        self._counts.update(other._counts)

    def percentile(self, share: float) -> float | None:
        """Return a value that `share` (0 to 1) of the values do not exceed; None if there are none."""
        rank = share * self._counts.total()
        for bucket in sorted(self._counts):
            rank -= self._counts[bucket]
            if rank <= 0:
                # The middle of the bucket, on its logarithmic scale.
                return 0.0 if bucket == 0 else _SMALLEST * 2 ** ((bucket - 0.5) / _BUCKETS_PER_DOUBLING)
        return None

    def to_json(self) -> str:
        return json.dumps(dict(sorted(self._counts.items())))


@lru_cache(maxsize=8192)
def _parse_entry(entry: str) -> tuple[int, int]:
    """Return the bucket of an entry such as `"31": 2`, and its count; 0 for an empty one."""
    bucket, _, count = entry.partition(":")
    return (int(bucket.strip(' "')), int(count)) if count else (0, 0)


class EndedRequest(NamedTuple):
    """What samples need to know of a request that has ended. Times are in seconds."""

    ended_at: float
    app: str
    state: str
    """A `JobState`."""
    queue_seconds: float | None
    """From submit to the first attempt; None if there was none, or if it was cut short."""
    total_seconds: float | None
    """From submit to result; None if there is none."""
    estimated_seconds: float
    """`total_seconds` as predicted at submit."""


@dataclass(slots=True, kw_only=True)
class MinuteEnds:
    """Requests of one app that ended in one minute, or in several."""

    finished: int = 0
    """Requests that succeeded."""
    failed: int = 0
    queue_wait: Histogram = field(default_factory=Histogram)
    """Seconds from submit to the first attempt."""
    total: Histogram = field(default_factory=Histogram)
    """Seconds from submit to result."""
    estimate_error: Histogram = field(default_factory=Histogram)
    """Error of the estimate at submit, as a share of the real time."""

    def add(self, ended: EndedRequest) -> None:
        self.finished += ended.state == JobState.SUCCEEDED
        self.failed += ended.state == JobState.FAILED
        if ended.queue_seconds is not None:
            self.queue_wait.add(ended.queue_seconds)
        if ended.total_seconds is not None:
            self.total.add(ended.total_seconds)
            if ended.total_seconds > 0:
                self.estimate_error.add(abs(ended.estimated_seconds - ended.total_seconds) / ended.total_seconds)

    def merge(self, other: "MinuteEnds") -> None:
        self.finished += other.finished
        self.failed += other.failed
        self.queue_wait.merge(other.queue_wait)
        self.total.merge(other.total)
        self.estimate_error.merge(other.estimate_error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """The queue of one app at one moment."""

    queued: int
    oldest_seconds: float | None
    """Seconds that the oldest queued request has waited."""
    running: int
    workers: int
    """Live workers that serve the app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteSample:
    """One app in one minute."""

    minute: int
    """Minutes since the epoch."""
    app: str
    gauges: Gauges | None
    """None: not sampled, as while no service ran."""
    ends: MinuteEnds


def ends_by_minute(ended: Iterable[EndedRequest]) -> dict[tuple[int, str], MinuteEnds]:
    """Return what the ended requests add to each minute (since the epoch) and app."""
    found: dict[tuple[int, str], MinuteEnds] = {}
    for each in ended:
        found.setdefault((int(each.ended_at // 60), each.app), MinuteEnds()).add(each)
    return found
