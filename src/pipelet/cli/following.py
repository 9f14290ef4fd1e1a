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

_OF_ONE_APP = "No worker serves "
"""How notes begin that are about an app, perhaps another; the status says the same where it is ours."""

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
            notes = [note for note in health.notes if not note.startswith(_OF_ONE_APP)]
            self._reason = " ".join((problems or notes)[:1])
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
    with Progress(*columns, TextColumn("{task.fields[estimate]}"), console=console, transient=True) as bars:
        bar = bars.add_task("Sent", total=None, estimate="")

        def show(status: Status, reason: str) -> None:
            progress, seconds = status.progress, status.estimated_total_seconds
            bars.update(
                bar,
                description=escape(visible(reason or ("Drawing" if progress else status.message))),
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
            about = "" if seconds is None else f" (about {seconds} s in all)"
            Console(stderr=True, soft_wrap=True).print(f"{visible(line)}{about}", markup=False, highlight=False)
            shown = line

    return show
