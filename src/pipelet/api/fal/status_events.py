"""Status of a request as server-sent events: the first at once, then one at every change.

A client that reads slowly gets the newest status only; the server keeps nothing for it but its position.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self
from zlib import crc32

from fastapi import Request
from fastapi.responses import Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.types import Message, Receive, Scope, Send

from pipelet.api.auth import authenticate_to_generate
from pipelet.api.connections import abort_connection, wait_for_disconnect
from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.errors import as_json
from pipelet.api.event_stream import preview_event
from pipelet.api.fal.input.options import is_flag_set
from pipelet.api.fal.lookup import get_own_job, request_id_headers
from pipelet.api.fal.status import WIRE_STATES, status_document, wants_logs
from pipelet.api.request_urls import request_urls
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import StoreError
from pipelet.services.requests.previews import PreviewSubscription
from pipelet.services.requests.status import JobStatus
from pipelet.services.requests.status_feed import Subscription

_STORE_RETRY_SECONDS = 1.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_EVENT_ID = re.compile(r"([0-9]{1,9})-([0-9a-f]{8})")


class EventCursor(NamedTuple):
    """Position of a client. A client that reconnects, to any process, sends it back as the `id` of its last event.

    Attributes:
        lines: number of lines of the log.
        rest: a checksum of everything else that makes an event.
    """

    lines: int
    rest: str

    def __str__(self) -> str:
        return f"{self.lines}-{self.rest}"

    @classmethod
    def parse(cls, event_id: str) -> Self:
        found = _EVENT_ID.fullmatch(event_id)
        return cls(int(found[1]), found[2]) if found else cls(0, "")


@dataclass(slots=True, kw_only=True)
class StatusEvents:
    """Builds the events that one client has not received."""

    deps: Dependencies
    urls: Mapping[str, str]
    with_logs: bool
    cursor: EventCursor

    async def next(self, job_status: JobStatus, lines: int) -> bytes:
        """The next event, empty if nothing is new. `lines` is the length of the log, or -1 if not known."""
        logs = None
        if self.with_logs:
            is_longer = lines < 0 or lines > self.cursor.lines or job_status.job.state.is_final
            log = await self.deps.jobs.log(job_status.job) if is_longer else []
            if is_longer and len(log) < self.cursor.lines:
                self.cursor = EventCursor(0, "")  # the cursor was that of another request
            logs = log[self.cursor.lines :]
        rest = f"{WIRE_STATES[job_status.job.state]} {job_status.position} {self.deps.statuses.message(job_status)}"
        cursor = EventCursor(self.cursor.lines + len(logs or ()), f"{crc32(rest.encode()):08x}")
        if cursor == self.cursor:
            return b""
        body = await status_document(self.deps, job_status, urls=self.urls, logs=logs)
        self.cursor = cursor
        return format_sse_event(data_str=as_json(body).decode("ascii"), id=str(cursor))


async def stream(request: Request) -> Response:
    deps = get_dependencies(request)
    key = await authenticate_to_generate(deps, request.scope)
    path, job = await get_own_job(deps, request)
    job_status = await deps.statuses.load(job)
    events = StatusEvents(
        deps=deps,
        urls=request_urls(deps.public_url, request.scope, path, job.id),
        with_logs=wants_logs(request),
        cursor=EventCursor.parse(request.headers.get("last-event-id", "")),
    )
    first = await events.next(job_status, -1)
    headers = request_id_headers(job) | _HEADERS
    if job.state.is_final and not first:
        # To a browser the end of a stream is a broken connection; 204 tells it not to reconnect.
        return Response(status_code=204, headers=headers)
    deps.connection_limiter.check(job.user)
    return _Stream(
        job_status, key, first, events, headers, with_previews=is_flag_set("previews", request.scope["query_string"])
    )


class _Stream(EventSourceResponse):
    """FastAPI's own streams need a generator, three tasks and a buffer each, and cannot be aborted."""

    def __init__(
        self,
        job_status: JobStatus,
        key: ApiKey,
        first: bytes,
        events: StatusEvents,
        headers: Mapping[str, str],
        *,
        with_previews: bool,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(headers)
        self._deps = events.deps
        self._key = key
        self._job_status = job_status
        self._first = first
        self._events = events
        self._with_previews = with_previews

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        with (
            self._deps.connection_limiter.hold(self._job_status.job.user),
            self._deps.status_feed.watch(self._job_status, self._key) as watch,
            self._watch_previews(watch) as previews,
        ):
            disconnected = asyncio.create_task(wait_for_disconnect(receive))
            disconnected.add_done_callback(lambda _: watch.updated.set())
            try:
                is_complete = await self._send_events(watch, previews, disconnected, send)
                if is_complete:
                    await self._write(send, {"type": "http.response.body", "body": b"", "more_body": False})
            except TimeoutError:  # the client does not read
                is_complete = False
            finally:
                disconnected.cancel()
        # If the body ended in order, fal's clients would take the last event for the final one: they must see an error.
        if not is_complete and not disconnected.done() and abort_connection(scope):
            await wait_for_disconnect(receive)

    @contextlib.contextmanager
    def _watch_previews(self, watch: Subscription) -> Iterator[PreviewSubscription | None]:
        if not self._with_previews:
            yield None
            return
        job = self._job_status.job
        with self._deps.previews.watch([job.id], job.user, watch.updated) as previews:
            yield previews

    async def _send_events(
        self,
        watch: Subscription,
        previews: PreviewSubscription | None,
        disconnected: "asyncio.Task[None]",
        send: Send,
    ) -> bool:
        """Returns True after the last event; False if the client is gone, its key is refused, or this process stops.

        Raises:
            TimeoutError: the client does not read.
        """
        now = asyncio.get_running_loop().time
        event, job_status = self._first, self._job_status
        silent_until = now()
        while True:
            if event:
                await self._write(send, {"type": "http.response.body", "body": event, "more_body": True})
                silent_until = now() + self._deps.stream_timeouts.keepalive
            if job_status.job.state.is_final:
                return True
            try:
                async with asyncio.timeout_at(silent_until):
                    await watch.updated.wait()
            except TimeoutError:
                event = KEEPALIVE_COMMENT
                continue
            watch.updated.clear()
            if disconnected.done() or not (watch.exists and watch.is_admitted) or self._deps.status_feed.is_closed:
                return False
            job_status = watch.job_status
            try:
                event = await self._events.next(job_status, watch.lines)
            except StoreError:  # the status feed logs the same error
                event, job_status = b"", self._job_status  # not a final state, so that the loop continues
                asyncio.get_running_loop().call_later(_STORE_RETRY_SECONDS, watch.updated.set)
            if previews is not None and not job_status.job.state.is_final:
                event += b"".join(map(preview_event, previews.take().values()))

    async def _write(self, send: Send, message: Message) -> None:
        """
        Raises:
            TimeoutError: the client does not read.
        """
        async with asyncio.timeout(self._deps.stream_timeouts.write):
            await send(message)
