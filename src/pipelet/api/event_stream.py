"""Server-sent events from a feed: a response that sends what its subscription has, until one of the two ends."""

import asyncio
import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.types import Message, Receive, Scope, Send

from pipelet.api.connections import abort_connection, wait_for_disconnect
from pipelet.api.dependencies import Dependencies
from pipelet.api.errors import as_json
from pipelet.domain.generation.preview import Preview

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def preview_event(preview: Preview, **fields: Any) -> bytes:
    """An event without an `id`: a stream continues after the last event that tells of a change.

    Args:
        fields: what comes before those of the preview.
    """
    image = f"data:image/webp;base64,{base64.b64encode(preview.image).decode('ascii')}"
    document = {**fields, "image": image, "index": preview.index, "step": preview.step}
    return format_sse_event(data_str=as_json(document).decode("ascii"), event="preview")


class Subscription(Protocol):
    @property
    def updated(self) -> asyncio.Event:
        """Set when there are events, and when `is_open` changes. The response clears it."""

    @property
    def is_open(self) -> bool: ...

    def take(self) -> bytes:
        """Return the events that have not been sent; they may be none."""


class EventStream(EventSourceResponse):
    """FastAPI's own streams need a generator, three tasks and a buffer each.

    Args:
        user: whose open connections it counts among.
        watch: subscribes.
    """

    def __init__(
        self, deps: Dependencies, user: str, watch: Callable[[], AbstractContextManager[Subscription]]
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)
        self._deps = deps
        self._user = user
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        with self._deps.connection_limiter.hold(self._user), self._watch() as subscription:
            disconnected = asyncio.create_task(wait_for_disconnect(receive))
            disconnected.add_done_callback(lambda _: subscription.updated.set())
            try:
                await self._send_events(subscription, disconnected, send)
                if not disconnected.done():
                    await self._write(send, {"type": "http.response.body", "body": b"", "more_body": False})
            except TimeoutError:  # the client does not read
                abort_connection(scope)
            finally:
                disconnected.cancel()

    async def _send_events(self, subscription: Subscription, disconnected: "asyncio.Task[None]", send: Send) -> None:
        """Return when the client is gone or the subscription ends.

        Raises:
            TimeoutError: the client does not read.
        """
        now, keepalive = asyncio.get_running_loop().time, self._deps.stream_timeouts.keepalive
        silent_until = now() + keepalive
        while subscription.is_open and not disconnected.done():
            try:
                async with asyncio.timeout_at(silent_until):
                    await subscription.updated.wait()
            except TimeoutError:
                await self._write(send, {"type": "http.response.body", "body": KEEPALIVE_COMMENT, "more_body": True})
                silent_until = now() + keepalive
                continue
            subscription.updated.clear()
            while subscription.is_open and not disconnected.done() and (events := subscription.take()):
                await self._write(send, {"type": "http.response.body", "body": events, "more_body": True})
                silent_until = now() + keepalive

    async def _write(self, send: Send, message: Message) -> None:
        """
        Raises:
            TimeoutError: the client does not read.
        """
        async with asyncio.timeout(self._deps.stream_timeouts.write):
            await send(message)
