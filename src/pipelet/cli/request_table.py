"""Table of requests, once or again and again."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from pipelet.system.text import visible

COLUMNS = ("id", "app", "user", "state", "submitted", "size", "prompt")
_PROMPT_CHARS = 50


def request_row(item: Mapping[str, Any]) -> tuple[object, ...]:
    """The cells of a request as the API describes it."""
    size = f"{item['width']}x{item['height']}" + (f" ×{item['batch_size']}" if item["batch_size"] > 1 else "")
    prompt = " ".join(str((item["input"] or {}).get("prompt", "")).split())
    if len(prompt) > _PROMPT_CHARS:
        prompt = f"{prompt[: _PROMPT_CHARS - 1]}…"
    submitted = item["submitted_at"][:19].replace("T", " ")
    return item["id"], item["app"], item["user"], _state(item), submitted, size, prompt or None


def _state(item: Mapping[str, Any]) -> str:
    """The state, with what says most about it."""
    state, progress = item["state"], item["progress"]
    if state == "queued":
        return f"queued, {item['position']} ahead"
    if state == "running" and progress:
        return f"running, {progress['done']}/{progress['total']}"
    return f"{state}: {item['error_type']}" if state == "failed" else str(state)


@contextlib.contextmanager
def live_table() -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    """Yield a function that shows requests in place of those before."""
    with Live(auto_refresh=False) as live:

        def show(items: Sequence[Mapping[str, Any]]) -> None:
            table = Table(*COLUMNS, box=SIMPLE_HEAD, pad_edge=False)
            for item in items:
                table.add_row(*("-" if cell is None else escape(visible(str(cell))) for cell in request_row(item)))
            live.update(table, refresh=True)

        yield show
