"""The transport that uvicorn writes to."""

import asyncio
from collections.abc import Callable
from typing import Any


class ClosingTransport:
    """A transport that delegates `close` to a callback, and everything else to the connection."""

    def __init__(self, transport: asyncio.Transport, on_close: Callable[[], None]) -> None:
        self._transport = transport
        self._on_close = on_close
        self._is_closing = False
        self.write = transport.write  # attributes, because each response uses them
        self.abort = transport.abort

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def close(self) -> None:
        """Call the callback, once."""
        if not self._is_closing:
            self._is_closing = True
            self._on_close()

    def forget(self) -> None:
        """Drop the callback, so that connection and protocol are freed without the garbage collector."""
        self._is_closing = True
        self._on_close = _nothing


def _nothing() -> None:
    pass
