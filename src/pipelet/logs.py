"""Structured logs: one line an event, on standard error, ours and the libraries' in one shape."""

import contextlib
import json
import logging
import sys
import traceback
from typing import Literal, TextIO

import structlog

from pipelet.system.text import visible


class _Lines(structlog.WriteLogger):
    """A log on a full disk, or whose reader has gone, loses lines; it must not lose requests."""

    def __init__(self, *_: object) -> None:
        super().__init__(sys.stderr)

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


_encode = json.JSONEncoder(default=repr).encode


def _as_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    # structlog's own renderer makes an encoder for every line, and every submit is a line.
    return _encode(event)


def _make_visible(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Other values than text are shown by `repr`, which escapes by itself."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}


def _write_traceback(output: TextIO, info: structlog.typing.ExcInfo) -> None:
    """Without local variables, which structlog would show where rich is installed: some are secrets."""
    text = "".join(traceback.format_exception(*info)).rstrip("\n")
    output.write("\n" + visible(text, keep="\n\t"))


def configure(*, format: Literal["auto", "json", "console"], level: str) -> None:  # noqa: A002 - the setting's name
    """Send everything through one renderer. `auto` is for people where standard error is a terminal, else JSON."""
    for_people = format == "console" or (format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback) if for_people else _as_json
    flatten = [_make_visible] if for_people else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*shared, *flatten, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level.upper()),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *flatten, renderer],
    )
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))
