"""A request's status as server-sent events: the first at once, then one whenever there is something new to tell.

A stream that reads slowly is told the newest, not everything in between; nothing is kept for it but how far it got.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import NamedTuple, Self
from zlib import crc32

from fastapi import Request
from fastapi.responses import Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.types import Message, Receive, Scope, Send

from pipelet.api import addresses
from pipelet.api.parts import Parts, parts_of
from pipelet.api.problems import as_json
from pipelet.api.queue import find, names
from pipelet.api.sight import Sight
from pipelet.api.status import describe, message, see, wants_logs
from pipelet.api.watcher import Watch
from pipelet.domain.errors import StoreUnusable
from pipelet.domain.keys import ApiKey
from pipelet.http_server.extensions import ABORT

_STORE_AGAIN = 1.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_EVENT_ID = re.compile(r"([0-9]{1,9})-([0-9a-f]{8})")


class Told(NamedTuple):
    """How far a client got. As the `id` of an event it comes back from a client that reconnects, to whichever process.

    Attributes:
        lines: of the log.
        rest: a checksum of all else that makes an event.
    """

    lines: int
    rest: str

    def __str__(self) -> str:
        return f"{self.lines}-{self.rest}"

    @classmethod
    def parse(cls, event_id: str) -> Self:
        found = _EVENT_ID.fullmatch(event_id)
        return cls(int(found[1]), found[2]) if found else cls(0, "")


class Narrator:
    """Puts into events what one client has not been told."""

    def __init__(self, parts: Parts, *, urls: Mapping[str, str], with_logs: bool, told: Told) -> None:
        self._parts = parts
        self._urls = urls
        self._with_logs = with_logs
        self._told = told

    async def next(self, sight: Sight, lines: int) -> bytes:
        """Empty where there is nothing new. `lines` is the length of the log, or -1 where that is not known."""
        logs = None
        if self._with_logs:
            is_longer = lines < 0 or lines > self._told.lines or sight.job.state.is_final
            log = await self._parts.store.log(sight.job) if is_longer else []
            if is_longer and len(log) < self._told.lines:
                self._told = Told(0, "")  # that was of another request
            logs = log[self._told.lines :]
        told = Told(self._told.lines + len(logs or ()), _checksum(self._parts, sight))
        if told == self._told:
            return b""
        body = await describe(self._parts, sight, urls=self._urls, logs=logs)
        self._told = told
        return format_sse_event(data_str=as_json(body).decode("ascii"), id=str(told))


def _checksum(parts: Parts, sight: Sight) -> str:
    return f"{crc32(f'{sight.status} {sight.position} {message(parts, sight)}'.encode()):08x}"


async def stream(request: Request) -> Response:
    parts = parts_of(request)
    key = await parts.doorkeeper.admit(request.scope["headers"])
    app, job = await find(parts, request)
    sight = await see(parts, job)
    narrator = Narrator(
        parts,
        urls=addresses.of_request(parts.public_url, request.scope, app, job.id),
        with_logs=wants_logs(request.scope["query_string"]),
        told=Told.parse(request.headers.get("last-event-id", "")),
    )
    first = await narrator.next(sight, -1)
    headers = names(job) | _HEADERS
    if job.state.is_final and not first:
        # The end of a stream looks to a browser like a broken connection: this is how it learns not to come again.
        return Response(status_code=204, headers=headers)
    parts.held.refuse_one_more(job.user)
    return _Stream(parts, sight, key, first, narrator, headers)


class _Stream(EventSourceResponse):
    """FastAPI's own streams take a generator, three tasks and a buffer each, and cannot be broken off."""

    def __init__(
        self,
        parts: Parts,
        sight: Sight,
        key: ApiKey,
        first: bytes,
        narrator: Narrator,
        headers: Mapping[str, str],
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(headers)
        self._held = parts.held
        self._watcher = parts.watcher
        self._pace = parts.pace
        self._key = key
        self._sight = sight
        self._first = first
        self._narrator = narrator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        with self._held.hold(self._sight.job.user), self._watcher.watch(self._sight, self._key) as watch:
            hung_up = asyncio.create_task(_until_hung_up(receive))
            hung_up.add_done_callback(lambda _: watch.news.set())
            try:
                all_told = await self._tell(watch, hung_up, send)
                if all_told:
                    await self._write(send, {"type": "http.response.body", "body": b"", "more_body": False})
            except TimeoutError:  # it does not read
                all_told = False
            finally:
                hung_up.cancel()
        if not all_told and not hung_up.done():
            await _break_off(scope, receive)

    async def _tell(self, watch: Watch, hung_up: "asyncio.Task[None]", send: Send) -> bool:
        """True: to the end. False: the client is gone or its key is refused, or this process stops.

        Raises:
            TimeoutError: the client does not read.
        """
        now = asyncio.get_running_loop().time
        event, sight = self._first, self._sight
        silent_until = now()
        while True:
            if event:
                await self._write(send, {"type": "http.response.body", "body": event, "more_body": True})
                silent_until = now() + self._pace.silence
            if sight.job.state.is_final:
                return True
            try:
                async with asyncio.timeout_at(silent_until):
                    await watch.news.wait()
            except TimeoutError:
                event = KEEPALIVE_COMMENT
                continue
            watch.news.clear()
            if hung_up.done() or not (watch.is_there and watch.is_admitted) or self._watcher.is_closed:
                return False
            sight = watch.sight
            try:
                event = await self._narrator.next(sight, watch.lines)
            except StoreUnusable:  # the watcher meets the same, and says so in the log
                event, sight = b"", self._sight  # which is not the end, whatever the newest is
                asyncio.get_running_loop().call_later(_STORE_AGAIN, watch.news.set)

    async def _write(self, send: Send, message: Message) -> None:
        """
        Raises:
            TimeoutError: the client does not read.
        """
        async with asyncio.timeout(self._pace.patience):
            await send(message)


async def _until_hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _break_off(scope: Scope, receive: Receive) -> None:
    """Where the body just ended, fal's clients would take the last event for the result's: they must see an error."""
    abort = scope.get("extensions", {}).get(ABORT)
    if abort is not None:
        abort["now"]()
        await _until_hung_up(receive)
    # A server without it closes the connection of a response that has no end, and complains in its log.
