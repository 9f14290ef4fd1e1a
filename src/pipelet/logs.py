"""Structured logs on standard error: one line per event, with one format for ours and those of libraries."""

import contextlib
import json
import logging
import sys
import traceback
from typing import Literal, TextIO

import structlog

from pipelet.system.text import visible


class _Lines(structlog.WriteLogger):
    """A logger that drops lines if the disk is full or the reader is gone, instead of failing requests."""

    def __init__(self, *_: object) -> None:
        super().__init__(sys.stderr)

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


_encode = json.JSONEncoder(default=repr).encode


def _as_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    # structlog's own renderer makes an encoder per line, and every submit logs a line.
    return _encode(event)


def _make_visible(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape control characters in text; other values are shown by `repr`, which escapes them."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}


def _write_traceback(output: TextIO, info: structlog.typing.ExcInfo) -> None:
    """Write a traceback without local variables, which structlog shows if rich is installed: some are secrets."""
    text = "".join(traceback.format_exception(*info)).rstrip("\n")
    output.write("\n" + visible(text, keep="\n\t"))


def configure(*, format: Literal["auto", "json", "console"], level: str) -> None:  # noqa: A002 - the setting's name
    """Send all logs through one renderer. `auto` is `console` if standard error is a terminal, else `json`."""
    is_console = format == "console" or (format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback) if is_console else _as_json
    flatten = [_make_visible] if is_console else [structlog.processors.format_exc_info]
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
