"""Waiting for a request's end, and showing the way there on standard error."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from pipelet.client import Client, Status
from pipelet.system.text import visible

_REASON_SECONDS = 2.0
"""A request that waits for so long makes us ask why."""

Show = Callable[[Status, str], None]


def follow(client: Client, request_id: str) -> Status:
    """The last status. A bar where standard error is a terminal, else a line for each change."""
    reasons = _Reasons(client)
    with _shown(Console(stderr=True)) as show:
        return client.wait(request_id, on_status=lambda status: show(status, reasons.why_it_waits(status)))


class _Reasons:
    """Why a request does not begin, where more is to say than that others are ahead. Asked for now and then."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked_at = time.monotonic()
        self._reason = ""

    def why_it_waits(self, status: Status) -> str:
        if status.status != "IN_QUEUE":
            return ""
        if time.monotonic() - self._asked_at > _REASON_SECONDS:
            health = self._client.health()
            problems = [str(worker["problem"]) for worker in health.workers if worker.get("problem")]
            self._reason = " ".join((problems or list(health.notes))[:1])
            self._asked_at = time.monotonic()
        return self._reason


@contextlib.contextmanager
def _shown(console: Console) -> Iterator[Show]:
    if not console.is_terminal:
        yield _lines()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, TextColumn("of about {task.fields[estimate]} s"), console=console, transient=True) as bars:
        bar = bars.add_task("Sent", total=None, estimate="?")

        def show(status: Status, reason: str) -> None:
            progress = status.progress
            bars.update(
                bar,
                description=escape(visible(reason or ("Drawing" if progress else status.message))),
                completed=progress.done if progress else 0,
                total=progress.total if progress else None,
                estimate=status.estimated_total_seconds,
            )

        yield show


def _lines() -> Show:
    shown = ""

    def show(status: Status, reason: str) -> None:
        nonlocal shown
        line = f"{status.message}. {reason}" if reason else status.message
        if line != shown:
            Console(stderr=True, soft_wrap=True).print(
                f"{visible(line)} (about {status.estimated_total_seconds} s in all)", markup=False, highlight=False
            )
            shown = line

    return show
