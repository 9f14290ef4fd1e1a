"""Count and close connections: drain the unread rest of a body, and wait until the client has read the response."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.http_server.connections import Connections
from pipelet.http_server.limits import Limits
from pipelet.http_server.refusals import BUSY, Refusal, response_bytes
from pipelet.http_server.trusted_proxies import TrustedProxies, normalized

log = structlog.get_logger()

_MAX_HELD_BYTES = 16 * 1024
"""Maximum bytes that wait for the end of a step of the event loop."""
_SHUTDOWN_DRAIN_SECONDS = 1.0
"""Time limit of a drain while the server shuts down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """State that all connections of one server share."""

    limits: Limits
    connections: Connections
    proxies: TrustedProxies
    log_throttle: LogThrottle
    is_stopping: Callable[[], bool]


class Drain:
    """Reads and drops the rest of a body after its response. Calls `on_end` once, when the time of the client is over.

    Closing a connection while its client still sends makes the kernel reset it, and the client loses a response that it
    has not read yet. https://www.rfc-editor.org/rfc/rfc9112#section-9.6
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, on_end: Callable[[], None]) -> None:
        self._loop = loop
        self._idle_seconds = limits.drain_idle_seconds
        self._left = limits.drain_bytes
        self._on_end = on_end
        self._last = loop.time()
        self._deadline = self._last + limits.drain_seconds
        self._timer = loop.call_at(self._next_check(), self._check)

    def take(self, size: int) -> bool:
        """Count dropped bytes. Return False if there were too many."""
        self._last = self._loop.time()
        self._left -= size
        return self._left >= 0

    def force_stop(self, seconds: float) -> None:
        """End within `seconds`."""
        self._deadline = min(self._deadline, self._loop.time() + seconds)
        self._timer.cancel()
        self._timer = self._loop.call_at(self._next_check(), self._check)

    def stop(self) -> None:
        self._timer.cancel()

    def _next_check(self) -> float:
        return min(self._last + self._idle_seconds, self._deadline)

    def _check(self) -> None:
        if self._loop.time() >= self._next_check():
            self._on_end()
        else:
            self._timer = self._loop.call_at(self._next_check(), self._check)


class ClosingTransport:
    """A transport that delegates `close` to a callback, and everything else to the connection.

    What one step of the event loop writes is sent at once: mostly the head of a response and its body, which are two
    system calls and two packets otherwise, and wake the client twice.
    """

    def __init__(
        self, transport: asyncio.Transport, on_close: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._transport = transport
        self._on_close = on_close
        self._loop = loop
        self._is_closing = False
        self._held: list[bytes] = []
        self._held_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        # Large data is not copied, and its writer has to notice that the client is slow.
        if len(data) > _MAX_HELD_BYTES or self._is_closing:
            self.flush()
            self._transport.write(data)
            return
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _MAX_HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            data = b"".join(self._held)
            self._drop_held()
            self._transport.write(data)

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_bytes = 0

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def close(self) -> None:
        """Call the callback, once."""
        if not self._is_closing:
            self._is_closing = True
            self.flush()
            self._on_close()

    def abort(self) -> None:
        """Close at once; what is not sent yet is dropped."""
        self._drop_held()
        self._transport.abort()

    def forget(self) -> None:
        """Drop the callback, so that connection and protocol are freed without the garbage collector."""
        self._is_closing = True
        self._drop_held()
        self._on_close = lambda: None


class ClosingProtocol(HttpToolsProtocol):
    """A uvicorn connection that is counted while open, and drained when it closes."""

    def __init__(self, *arguments: Any, shared: Shared, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._shared = shared
        self._limits = shared.limits
        self._address = ""
        self._is_proxy = False
        self._is_counted = False
        self._is_closing = False
        self._ignores_input = False
        """Whether incoming data is dropped unread."""
        self._dropped = 0
        self._in_body = False
        """Whether the body of `cycle`'s request, or its trailers, is being read."""
        self._active: RequestResponseCycle | None = None
        """The request whose response is next, or was last; `cycle` is the request that was read last."""
        self._drain: Drain | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._socket = transport
        self.transport = cast(asyncio.Transport, ClosingTransport(transport, self._close, self.loop))
        if self.client is not None:
            self.client = (normalized(self.client[0]), self.client[1])
            self._address = self.client[0]
        self._is_proxy = self._address in self._shared.proxies
        self._is_counted = self._shared.connections.open.add(self._address, is_proxy=self._is_proxy)
        if not self._is_counted:
            self._shared.log_throttle.write(
                log.warning,
                "http.connections_exhausted",
                reason=BUSY.message,
                client=self._address,
                max_connections=self._shared.connections.open.max,
            )
            self._answer_and_close(BUSY)

    def connection_lost(self, exc: Exception | None) -> None:
        cast(ClosingTransport, self.transport).forget()  # first, so that another close has no effect
        self._end_drain()
        self._stop_watching_writes()
        if self._is_counted:
            self._is_counted = False
            self._shared.connections.open.remove(self._address)
        if self._active is not None and not self._active.response_complete:
            # uvicorn notifies only the request that was read last, which may be a later one than this.
            self._active.disconnected = True
            self._active.message_event.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self._drain is None:
            super().shutdown()
            return
        self.transport.close()
        self._drain.force_stop(_SHUTDOWN_DRAIN_SECONDS)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        answered = self._active
        super().on_response_complete()
        if answered is None:
            return
        if answered.body:  # the connection may stay open, and would keep the body
            answered.body.clear()
        if self._in_body and answered is self.cycle and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            if not self._begin_drain():
                self._finish()

    def _drained(self) -> None:
        """The rest of the body has arrived."""
        if self.transport.is_closing():
            self._finish()
        else:
            self._end_drain()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _answer_and_close(self, refusal: Refusal) -> None:
        self._ignores_input = True
        self.transport.write(response_bytes(refusal, self.server_state.default_headers))
        self.transport.close()

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > self._limits.drain_bytes:
            self._socket.abort()

    def _close(self) -> None:
        """Replace the transport's own `close`."""
        self._is_closing = True
        if not ((self._in_body or self._ignores_input) and self._begin_drain()):
            self._finish()
            return
        try:
            if self._socket.can_write_eof():  # TLS has no such end; its client reads `connection: close`
                self._socket.write_eof()
        except OSError:  # the client has disconnected
            self._finish()
            return
        self.flow.resume_reading()
        self._watch_writes()

    def _begin_drain(self) -> bool:
        """Begin a drain if one more is allowed. Return whether one is active."""
        if self._drain is None and self._shared.connections.draining.add(self._address, is_proxy=self._is_proxy):
            self._drain = Drain(self.loop, self._limits, self._finish)
        return self._drain is not None

    def _end_drain(self) -> None:
        if self._drain is not None:
            self._drain.stop()
            self._drain = None
            self._shared.connections.draining.remove(self._address)

    def _finish(self) -> None:
        """Close after the buffered data has been sent."""
        self._end_drain()
        cast(ClosingTransport, self.transport).flush()
        self._socket.close()
        self._watch_writes()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writes()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_watching_writes()

    def _watch_writes(self) -> None:
        self._unsent = self._socket.get_write_buffer_size()
        if self._unsent and self._write_timer is None:
            self._write_timer = self.loop.call_later(self._limits.write_stall_seconds, self._check_writes)

    def _stop_watching_writes(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _check_writes(self) -> None:
        self._write_timer = None
        if 0 < self._unsent <= self._socket.get_write_buffer_size():
            self._socket.abort()
        else:
            self._watch_writes()
