"""Progress of a request, shown on standard error until it ends."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from pipelet.client import Client
from pipelet.client_types import Health, Status
from pipelet.system.text import visible

_REASON_INTERVAL = 2.0
"""Seconds between two questions why a request waits."""

_APP_NOTE_PREFIX = "No worker serves "
"""Start of notes about one app, which may be another one. The status has the same note if it is about ours."""

Show = Callable[[Status, str], None]


def follow(client: Client, request_id: str) -> Status:
    """Wait for the end, and return the last status. Show a bar on a terminal, else a line for each change."""
    asked_at, reason = time.monotonic(), ""
    with _shown(Console(stderr=True)) as show:

        def on_status(status: Status) -> None:
            nonlocal asked_at, reason
            if status.status != "IN_QUEUE":
                reason = ""
            elif time.monotonic() - asked_at > _REASON_INTERVAL:
                reason = _wait_reason(client.health())
                asked_at = time.monotonic()
            show(status, reason)

        return client.wait(request_id, on_status=on_status)


def _wait_reason(health: Health) -> str:
    """Why a request does not start, if the reason is not only its position in the queue."""
    problems = [str(worker["problem"]) for worker in health.workers if worker.get("problem")]
    notes = [note for note in health.notes if not note.startswith(_APP_NOTE_PREFIX)]
    return " ".join((problems or notes)[:1])


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
    with Progress(*columns, TextColumn("{task.fields[estimate]}"), console=console, transient=True) as bars:
        bar = bars.add_task("Sent", total=None, estimate="")

        def show(status: Status, reason: str) -> None:
            progress, seconds = status.progress, status.estimated_total_seconds
            bars.update(
                bar,
                description=escape(visible(reason or ("Generating" if progress else status.message))),
                completed=progress.done if progress else 0,
                total=progress.total if progress else None,
                estimate="" if seconds is None else f"of about {seconds} s",
            )

        yield show


def _lines() -> Show:
    shown = ""

    def show(status: Status, reason: str) -> None:
        nonlocal shown
        line = f"{status.message}. {reason}" if reason else status.message
        if line != shown:
            seconds = status.estimated_total_seconds
            about = "" if seconds is None else f" (about {seconds} s in total)"
            Console(stderr=True, soft_wrap=True).print(f"{visible(line)}{about}", markup=False, highlight=False)
            shown = line

    return show
