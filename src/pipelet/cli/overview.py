"""Tables of `pipelet queue`: the queue of each app, and the workers."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from pipelet.services.queue.overview import AppQueue, Overview, WorkerState
from pipelet.system.text import visible

_WIDE = 120


def show(overview: Overview) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, _WIDE))  # a pipe has no edge
    console.print(Group(_queues(overview.apps), _workers(overview.workers)))


def _queues(queues: Sequence[AppQueue]) -> Table:
    titles = ("waiting", "running", "oldest", "all begun in", "requests/min", "images/min")
    numbers = (Column(title, justify="right") for title in titles)
    table = Table(Column("app", no_wrap=True, overflow="ignore"), *numbers, "", box=SIMPLE_HEAD, pad_edge=False)
    for each in queues:
        table.add_row(
            escape(visible(each.app)),
            f"{each.queued:,}",
            f"{each.running:,}",
            format_duration(each.oldest_seconds),
            _prediction(each),
            f"{each.requests_per_minute:,.1f}",
            f"{each.images_per_minute:,.1f}",
            _wait_reason(each),
        )
    return table


def _wait_reason(queue: AppQueue) -> str:
    if queue.paused_seconds is not None:
        return f"[yellow]paused for {format_duration(queue.paused_seconds)}[/]"
    return "[yellow]no worker serves it[/]" if queue.queued and queue.waiting_seconds is None else ""


def _prediction(queue: AppQueue) -> str:
    if not queue.queued:
        return "-"
    if queue.waiting_seconds is None:
        return "never"
    return f"about {format_duration(queue.waiting_seconds)}"


_COLOURS = {"ready": "green", "draining": "yellow", "not ready": "red"}


def _workers(workers: Sequence[WorkerState]) -> Table | Text:
    if not workers:
        return Text("No worker is running: requests wait. Start one with `pipelet worker`.", style="yellow")
    name, state = Column("worker", no_wrap=True, overflow="ignore"), Column("state", no_wrap=True)
    seen = Column("seen", justify="right", no_wrap=True)
    table = Table(name, "kind", "apps", state, seen, "", box=SIMPLE_HEAD, pad_edge=False)
    for each in workers:
        texts = (escape(visible(text)) for text in (each.name, each.kind, ", ".join(each.apps)))
        coloured, ago = f"[{_COLOURS[each.state]}]{each.state}[/]", f"{format_duration(each.seen_seconds)} ago"
        table.add_row(*texts, coloured, ago, escape(visible(each.problem or "")))
    return table


def format_duration(seconds: float | None) -> str:
    """The two largest units: `0 s`, `3 min 20 s`, `2 h 5 min`, `1 d 3 h`."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
