"""What uvicorn writes to, in place of the connection itself."""

import asyncio
from collections.abc import Callable
from typing import Any


class ClosingTransport:
    """A transport whose `close` is another's decision; everything else is the connection's own."""

    def __init__(self, transport: asyncio.Transport, on_close: Callable[[], None]) -> None:
        self._transport = transport
        self._on_close = on_close
        self._is_closing = False
        self.write = transport.write  # attributes, because each answer needs them
        self.abort = transport.abort

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def close(self) -> None:
        """Only the first call counts."""
        if not self._is_closing:
            self._is_closing = True
            self._on_close()

    def forget(self) -> None:
        """After the end: the connection and its protocol need no garbage collector then."""
        self._is_closing = True
        self._on_close = _nothing


def _nothing() -> None:
    pass
