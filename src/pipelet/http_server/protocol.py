"""Reads the requests of one connection, within limits."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, cast

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from pipelet.http_server import refusals
from pipelet.http_server.closing import ClosingProtocol
from pipelet.http_server.extensions import ABORT_EXTENSION
from pipelet.http_server.refusals import Refusal, Refused
from pipelet.http_server.tls import ALERT, is_client_hello
from pipelet.http_server.trusted_proxies import FOR, HOST, PROTO

log = structlog.get_logger()

_FORWARDED = frozenset({FOR, PROTO, HOST})
_NOTED = _FORWARDED | {b"expect", b"host", b"transfer-encoding"}
_CONTENT_PER_FRAMING = 8
"""Bytes of framing per byte of content: a chunk of one byte takes six."""


class Protocol(ClosingProtocol):
    """Limits what is read, and handles the headers that are for the server."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._refusal: Refusal | None = None
        """The reason why a callback stopped the parser."""
        self._max_headers = self._limits.headers
        self._piece = 0
        """Number of bytes in the piece that is being parsed."""
        self._head_begun = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._unfinished = 0
        """Number of bytes of a head that arrives in pieces."""
        self._body_timer: asyncio.TimerHandle | None = None
        self._body_at = 0.0
        """When the last piece of an unfinished body arrived."""
        self._messages = 0
        self._hosts = 0
        self._is_chunked = False
        self._is_forwarded = False
        self._framed = 0
        self._content = 0
        self._trailers = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self.transport.is_closing():
            self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._drain is not None and not self._drain.take(len(data)):
            self._finish()
            return
        if self._ignores_input:
            self._drop(len(data))
            return
        if self.cycle is None and not self._head_begun and is_client_hello(data):
            self._refuse_tls()
            return
        was_in_chunks, messages = self._in_body and self._is_chunked, self._messages
        self._piece = len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                self._read_on(data, offer)
            # A head or a body that began in the piece of another request counts from its next piece on.
            size = len(data) if messages == self._messages else 0
            if self._head_begun:
                self._head_goes_on(size)
            elif self._in_body:
                if was_in_chunks:
                    self._chunks_go_on(size)
                self._body_goes_on()
            elif self.cycle is None or self.cycle.response_complete:
                self._start_head_timer()  # line ends between requests
        except (httptools.HttpParserError, Refused):
            self._refuse(self._refusal or refusals.MALFORMED)

    def _read_on(self, data: bytes, offer: httptools.HttpParserUpgrade | None) -> None:
        """Parse the request again without its Upgrade header: a server may ignore the offer."""
        while offer is not None:
            data = self._head_without_offer() + data[offer.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            try:
                self.parser.feed_data(data)
                offer = None
            except httptools.HttpParserUpgrade as next_offer:
                offer = next_offer

    def _head_without_offer(self) -> bytes:
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _stop(self, refusal: Refusal) -> Refused:
        self._refusal = refusal
        return Refused()

    def _refuse(self, refusal: Refusal) -> None:
        """Respond and close; earlier requests get their responses first."""
        self._end_head()
        self._ignores_input = True
        if self._is_closing:  # the last response has been sent, and later requests get none
            self._finish()
            return
        self._shared.log_throttle.write(
            log.warning,
            "http.request_refused",
            reason=refusal.message,
            status=refusal.status,
            client=self._address,
        )
        if self._in_body and self.cycle is self._active:
            if self.cycle.response_complete:
                self.transport.close()
                return
            if self.cycle.response_started:
                self._socket.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self._active is not None and not self._active.response_complete:
            if self._in_body:
                self.pipeline.popleft()
            newest = self.pipeline[0][0] if self.pipeline else self._active
            newest.keep_alive = False
            self.flow.pause_reading()
            return
        self._answer_and_close(refusal)

    def _refuse_tls(self) -> None:
        self._ignores_input = True
        self._shared.log_throttle.write(
            log.warning,
            "http.tls_refused",
            reason=f"{self._address} speaks TLS to a port for plain HTTP.",
            fix="Start with `pipelet serve --tls`, put a proxy that ends TLS in front, or use http://.",
        )
        self._socket.write(ALERT)
        self._finish()

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        if self._is_closing:
            raise self._stop(refusals.MALFORMED)
        if len(self.pipeline) >= self._limits.pipelined_requests:
            raise self._stop(refusals.PIPELINED)
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: {"now": self.transport.abort}}
        self._head_begun = True
        self._hosts = 0
        self._is_chunked = self._is_forwarded = False

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self._limits.url_bytes:
            raise self._stop(refusals.url_too_long(self._limits.url_bytes))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:  # trailers are dropped: none was checked as a header
            self._trailers += 1
            if self._trailers > self._max_headers:
                raise self._too_large()
            return
        name = name.lower()
        if name in _NOTED:
            self._note(name, value)
        headers = self.headers
        headers.append((name, value))
        if len(headers) > self._max_headers:
            raise self._too_large()

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        elif name == b"transfer-encoding":
            self._is_chunked = True
        else:
            self._is_forwarded = True

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise self._stop(refusals.CONNECT)
            self._head_begun = False
            return  # it is parsed again, without the offer
        if self._unfinished + self._piece > self._limits.head_bytes and self._head_size() > self._limits.head_bytes:
            raise self._too_large()
        if self._hosts != 1 and (self._hosts or self.parser.get_http_version() == "1.1"):
            raise self._stop(refusals.HOST)
        if not self.url.startswith(b"/"):
            self._take_host_from_url()
        if self._is_proxy and self._is_forwarded:
            self._take_forwarded()
        super().on_headers_complete()
        self._head_begun = False
        if self._head_timer is not None:
            self._end_head()
        self._in_body = True
        self._framed = self._content = self._trailers = 0
        if self._shared.is_stopping():
            self.cycle.keep_alive = False
        if self.expect_100_continue:
            self._answer_expectation(self.cycle)

    def on_body(self, body: bytes) -> None:
        self._content += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._in_body:  # it is parsed again
            return
        self._in_body = False
        self._messages += 1
        super().on_message_complete()
        if self._drain is not None:
            self._drained()

    # Helpers of the callbacks

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_large(self) -> Refused:
        return self._stop(refusals.head_too_large(self._limits.head_bytes, self._limits.headers))

    def _take_host_from_url(self) -> None:
        """Use the host in `http://host/path`, as proxies send it: it takes precedence over the Host header."""
        url = httptools.parse_url(self.url)
        if not url.host:
            return
        host = url.host if url.port is None else b"%s:%d" % (url.host, url.port)
        self._replace_host(host)
        self.url = (url.path or b"/") + (b"?" + url.query if url.query else b"")

    def _take_forwarded(self) -> None:
        client, scheme, host = self._shared.proxies.read(self.headers)
        if client is not None:
            self.scope["client"] = (client, 0)
        if scheme is not None:
            self.scope["scheme"] = cast(Literal["http", "https"], scheme)
        if host is not None:
            self._replace_host(host)

    def _replace_host(self, host: bytes) -> None:
        self.headers[:] = [header for header in self.headers if header[0] != b"host"]
        self.headers.append((b"host", host))

    def _answer_expectation(self, cycle: RequestResponseCycle) -> None:
        """Close after a response that came before the body: the client may send the body or not."""
        if self.parser.get_http_version() == "1.0":
            cycle.waiting_for_100_continue = False
            return
        cycle.send = partial(_send_and_close, cycle, cycle.send)  # type: ignore[method-assign]

    def _head_goes_on(self, size: int) -> None:
        self._unfinished += size
        if not self._shared.connections.hold_head(self._address, size, is_proxy=self._is_proxy):
            raise self._stop(refusals.BUSY)
        if self._unfinished > self._limits.head_bytes:
            raise self._too_large()
        self._start_head_timer()

    def _chunks_go_on(self, size: int) -> None:
        self._framed += size
        if self._framed - _CONTENT_PER_FRAMING * self._content > self._limits.framing_bytes:
            raise self._stop(refusals.FRAMING)

    def _body_goes_on(self) -> None:
        """Note that there is more to come. Bodies that arrive with their heads do not come here."""
        self._body_at = self.loop.time()
        if self._body_timer is None:
            self._body_timer = self.loop.call_later(self._limits.body_idle_seconds, self._check_body)

    def _check_body(self) -> None:
        """One timer watches all bodies of a connection, because most of them end long before it."""
        self._body_timer = None
        if not self._in_body or self._is_closing or self.cycle.response_started:
            return
        due_at = self._body_at + self._limits.body_idle_seconds
        if self.loop.time() < due_at:
            self._body_timer = self.loop.call_at(due_at, self._check_body)
        else:
            self._refuse(refusals.STALLED)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_begun:
            self._refuse(refusals.LATE)
        else:
            self.transport.close()

    def _end_head(self) -> None:
        self._head_begun = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._unfinished:
            self._shared.connections.release_head(self._address, self._unfinished)
            self._unfinished = 0


async def _send_and_close(cycle: RequestResponseCycle, send: Callable[[Any], Awaitable[None]], message: Any) -> None:
    if message["type"] == "http.response.start" and cycle.waiting_for_100_continue:
        cycle.keep_alive = False
    await send(message)
