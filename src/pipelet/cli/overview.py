"""What `pipelet queue` shows: the queue of each app, and who works on it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipelet.api.estimates import most_observed, outlook_of, speeds_by_kind
from pipelet.api.input_model import MIN_PRIORITY
from pipelet.domain.catalog import Catalog
from pipelet.domain.estimate import unlearned
from pipelet.domain.ports import Drawn, JobStore, QueueCounts
from pipelet.domain.workers import WorkerReport
from pipelet.system.text import visible

RATE_MINUTES = 5
_NOTHING = QueueCounts(queued=0, running=0, oldest_submitted_at=None)
_WIDE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class AppQueue:
    app: str
    queued: int
    running: int
    oldest_seconds: float | None
    """How long the oldest request has waited."""
    requests_per_minute: float
    """Drawn in the last `RATE_MINUTES`."""
    images_per_minute: float
    waiting_seconds: float | None
    """Until all that waits now has begun, as predicted; None while it is paused, and where no worker can begin it."""
    paused_seconds: float | None
    """For how long it has been paused; None where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    name: str
    kind: str
    apps: tuple[str, ...]
    version: str
    state: str
    """`ready`, `not ready` or `draining`."""
    problem: str | None
    seen_seconds: float
    """Ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    apps: list[AppQueue]
    workers: list[WorkerState]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def look(store: JobStore, catalog: Catalog) -> Overview:
    now = store.clock.now()
    counts, paused = await store.counts(), await store.paused()
    drawn = await store.drawn_since(now - 60 * RATE_MINUTES)
    workers = await store.live_workers(now)
    names = dict.fromkeys([*catalog.served_apps(), *sorted({*counts, *paused})])
    queues = []
    for name in names:
        found, done = counts.get(name, _NOTHING), drawn.get(name, Drawn(0, 0))
        oldest = found.oldest_submitted_at
        queues.append(
            AppQueue(
                app=name,
                queued=found.queued,
                running=found.running,
                oldest_seconds=None if oldest is None else max(0.0, now - oldest),
                requests_per_minute=done.requests / RATE_MINUTES,
                images_per_minute=done.images / RATE_MINUTES,
                waiting_seconds=None if name in paused else await _waiting_seconds(store, catalog, name, workers, now),
                paused_seconds=max(0.0, now - paused[name]) if name in paused else None,
            )
        )
    return Overview(apps=queues, workers=[_state(worker, now) for worker in workers])


async def _waiting_seconds(
    store: JobStore, catalog: Catalog, name: str, workers: Sequence[WorkerReport], now: float
) -> float | None:
    if not any(worker.serves(name) for worker in workers):
        return None
    app = catalog.apps.get(name)
    # Those of one model wait for the same workers.
    sharing = (name,) if app is None or app.model is None else catalog.apps_of(app.model)
    learned = await store.learned()
    speeds, most = speeds_by_kind(learned), most_observed(learned)
    outlook = outlook_of(
        name,
        live=workers,
        speeds=speeds,
        otherwise=unlearned() if most is None else speeds[most],
        running=await store.running(sharing),
        now=now,
    )
    return outlook.wait_seconds(await store.backlog(MIN_PRIORITY, sharing))


def _state(worker: WorkerReport, now: float) -> WorkerState:
    return WorkerState(
        name=worker.name,
        kind=worker.kind,
        apps=worker.apps,
        version=worker.version,
        state="draining" if worker.draining else "ready" if worker.ready else "not ready",
        problem=worker.problem,
        seen_seconds=max(0.0, now - worker.seen_at),
    )


def show(overview: Overview) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, _WIDE))  # whoever reads a pipe has no edge
    console.print(Group(_queues(overview.apps), _workers(overview.workers)))


def _queues(queues: Sequence[AppQueue]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("app", no_wrap=True, overflow="ignore")
    for title in ("waiting", "running", "oldest", "all begun in", "requests/min", "images/min"):
        table.add_column(title, justify="right")
    table.add_column("")
    for each in queues:
        table.add_row(
            escape(visible(each.app)),
            f"{each.queued:,}",
            f"{each.running:,}",
            _span(each.oldest_seconds),
            _prediction(each),
            f"{each.requests_per_minute:,.1f}",
            f"{each.images_per_minute:,.1f}",
            _why_it_waits(each),
        )
    return table


def _why_it_waits(queue: AppQueue) -> str:
    if queue.paused_seconds is not None:
        return f"[yellow]paused for {_span(queue.paused_seconds)}[/]"
    return "[yellow]no worker serves it[/]" if queue.queued and queue.waiting_seconds is None else ""


def _prediction(queue: AppQueue) -> str:
    if not queue.queued:
        return "-"
    if queue.waiting_seconds is None:
        return "never"
    return f"about {_span(queue.waiting_seconds)}"


_COLOURS = {"ready": "green", "draining": "yellow", "not ready": "red"}


def _workers(workers: Sequence[WorkerState]) -> Table | Text:
    if not workers:
        return Text("No worker is running: requests wait. Start one with `pipelet worker`.", style="yellow")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("worker", no_wrap=True, overflow="ignore")
    table.add_column("kind")
    table.add_column("apps")
    table.add_column("state", no_wrap=True)
    table.add_column("seen", justify="right", no_wrap=True)
    table.add_column("")
    for each in workers:
        state = f"[{_COLOURS[each.state]}]{each.state}[/]"
        seen, problem = f"{_span(each.seen_seconds)} ago", escape(visible(each.problem or ""))
        table.add_row(
            *(escape(visible(text)) for text in (each.name, each.kind, ", ".join(each.apps))), state, seen, problem
        )
    return table


def _span(seconds: float | None) -> str:
    """`0 s`, `3 min 20 s`, `2 h 5 min`, `1 d 3 h`: the largest unit, and the next."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
