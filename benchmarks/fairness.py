"""What a user who floods the queue costs ten ordinary ones: a day, simulated with the embedded store's own statements.

Ten ordinary users submit bursts of up to three requests of mixed sizes, seven tenths of what the workers can do; three
times a day a flooder submits 75 minutes of work for every worker at once. The database decides which request starts, in
the order `fifo` and in the order `fair`; only the clock and the workers are simulated, and nothing is committed.
"""

import contextlib
import heapq
import random
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cyclopts
from tests.support.jobs import APP, make_job

from benchmarks.lib.crowds import MODEL, SECONDS, WEIGHTS
from benchmarks.lib.service import scratch
from benchmarks.lib.table import Line, Ratio, load_now, percentile, show
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.queue_order import QueueOrder
from pipelet.store.rows import job_columns
from pipelet.store.sqlite.connection.queries import SQL
from pipelet.store.sqlite.jobs import queue_job
from pipelet.store.sqlite.migrate import migrate_sqlite

_LOAD = 0.7
_USERS = 10
_MAX_BURST = 3
_FLOODS = (0.1, 0.4, 0.7)
"""When the flooder submits, as shares of the day."""
_FLOOD_SECONDS = 75 * 60
"""Seconds of work that it then submits, for each worker and a whole day."""
_FLOODER = "flooder"


@dataclass(frozen=True, slots=True, order=True)
class Request:
    at: float
    user: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Day:
    """What users waited, in seconds, in the order of their requests."""

    name: str
    waits: dict[str, list[tuple[float, float]]]
    """When each request was submitted, and how long it waited, by user."""

    def ordinary(self) -> list[float]:
        return [wait for user, waits in self.waits.items() if user != _FLOODER for _, wait in waits]

    def flooder(self) -> list[float]:
        return [wait for _, wait in self.waits.get(_FLOODER, [])]


def main(*, hours: float = 24, workers: tuple[int, ...] = (1, 4), plot: Path | None = None) -> None:
    """
    Parameters
    ----------
    hours
        Hours that are simulated.
    workers
        Numbers of workers, one after the other.
    plot
        Image for a plot of the waits with the first number of workers. Needs matplotlib.
    """
    before = load_now()
    lines, plotted = [], None
    with scratch() as folder:
        for number in workers:
            days = _days(folder, hours, number)
            lines += _lines(number, days)
            plotted = plotted or days
    show(f"Waits of ordinary users, {hours:g} simulated hours", lines, load=before)
    if plot is not None and plotted is not None:
        _plot(plotted, plot)


def _days(folder: Path, hours: float, workers: int) -> list[Day]:
    calm, flooded = (_trace(hours, workers, floods) for floods in ((), _FLOODS))
    days = []
    for order in QueueOrder:
        for name, trace in (("without", calm), ("with", flooded)):
            path = folder / f"{workers}-{order}-{name}.sqlite"
            migrate_sqlite(path, order=order)
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
                database.row_factory = sqlite3.Row
                database.execute("BEGIN")
                days.append(Day(f"{order}, {name} the flooder", _live(database, trace, workers)))
    return days


def _trace(hours: float, workers: int, floods: Sequence[float]) -> list[Request]:
    """The requests of a day. The ordinary ones are the same with and without the flooder."""
    rng, trace = random.Random(1), []
    mean = sum(map(int.__mul__, SECONDS, WEIGHTS)) / sum(WEIGHTS)
    bursts_per_second = _LOAD * workers / (mean * (1 + _MAX_BURST) / 2)
    at = 0.0
    while (at := at + rng.expovariate(bursts_per_second)) < 3600 * hours:
        user = f"user-{rng.randrange(_USERS)}"
        trace += [Request(at, user, _size(rng)) for _ in range(rng.randint(1, _MAX_BURST))]
    for share in floods:
        left = _FLOOD_SECONDS * workers * hours / 24
        while left > 0:
            seconds = _size(rng)
            trace.append(Request(share * 3600 * hours, _FLOODER, seconds))
            left -= seconds
    return sorted(trace, key=lambda request: request.at)


def _size(rng: random.Random) -> int:
    return rng.choices(SECONDS, WEIGHTS)[0]


def _live(database: sqlite3.Connection, trace: list[Request], workers: int) -> dict[str, list[tuple[float, float]]]:
    """Submit, and start a request whenever a worker is free. Returns when each was submitted and how long it waited."""
    waits: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    free, arrived, waiting = [0.0] * workers, 0, 0
    while arrived < len(trace) or waiting:
        if arrived < len(trace) and (not waiting or trace[arrived].at <= free[0]):
            job = _job(trace[arrived])
            queue_job(database, job, job_columns(job))
            if not waiting:
                heapq.heapreplace(free, max(free[0], trace[arrived].at))
            arrived, waiting = arrived + 1, waiting + 1
            continue
        now, user, submitted_at, cost = _claim(database, free[0])
        waits[user].append((submitted_at, now - submitted_at))
        heapq.heapreplace(free, now + cost / 1e6)
        waiting -= 1
    return waits


def _claim(database: sqlite3.Connection, now: float) -> tuple[float, str, float, int]:
    """Return the time, and of the claimed request the user, when it was submitted, and its device time in µs."""
    wanted = {"apps": (APP,), "exclude_ids": (), "now": now}
    [found] = database.execute(SQL["next_job"], wanted).fetchall()
    lease = {"seq": found["seq"], "worker": "worker", "token": f"token-{found['seq']}", "expires_at": 1e12, "now": now}
    [row] = database.execute(SQL["claim_job"], lease).fetchall()
    return now, row["owner"], row["submitted_at"], row["turn_cost"]


def _job(request: Request) -> Job:
    job = make_job(user=request.user, submitted_at=request.at)
    return replace(job, model=MODEL, turn_cost=request.seconds * 1_000_000)


def _lines(workers: int, days: list[Day]) -> list[Line]:
    by_name = {day.name: day for day in days}
    lines = []
    for order in QueueOrder:
        calm, flooded = (by_name[f"{order}, {name} the flooder"] for name in ("without", "with"))
        base, found = (percentile(day.ordinary(), 0.95) for day in (calm, flooded))
        reference = f"{base:,.0f} s without the flooder; p50 {percentile(flooded.ordinary(), 0.5):,.0f} s, "
        reference += f"{percentile(calm.ordinary(), 0.5):,.0f} s without; the flooder's p95 "
        reference += f"{percentile(flooded.flooder(), 0.95):,.0f} s"
        allowed = 1.5 * base + max(SECONDS)
        is_fair = order is QueueOrder.FAIR
        what = f"{order}, {workers} {'worker' if workers == 1 else 'workers'}: p95 with the flooder"
        goal, met = (f"≤ {allowed:,.0f} s", found <= allowed) if is_fair else ("", None)
        ratio = Ratio(found / allowed) if is_fair else None
        lines.append(Line(what, f"{found:,.0f} s", reference, goal, met, ratio))
    return lines


def _plot(days: list[Day], image: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained", sharey=True)
    for axis, order in zip(axes, QueueOrder, strict=True):
        day = next(each for each in days if each.name == f"{order}, with the flooder")
        for user, waits in sorted(day.waits.items()):
            hours, seconds = zip(*((at / 3600, max(0.5, wait)) for at, wait in waits), strict=True)
            is_flooder = user == _FLOODER
            colour, label = ("#b4452f", "the flooder") if is_flooder else ("#2f6f4f", "ten ordinary users")
            axis.scatter(hours, seconds, s=3, color=colour, label=label if user in (_FLOODER, "user-0") else None)
        axis.set(title=f"order {order}", xlabel="submitted at, hours", yscale="log")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("waited until the start, seconds")
    axes[1].legend(markerscale=4, frameon=False)
    figure.savefig(image, dpi=110, pil_kwargs={"quality": 80})


if __name__ == "__main__":
    cyclopts.run(main)
