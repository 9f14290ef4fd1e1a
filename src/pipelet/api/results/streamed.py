"""The response of a call that waits for its images, whose body is sent while it is read from their files."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Self

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from pipelet.api.connections import abort_connection, watch_disconnect
from pipelet.api.dependencies import Dependencies
from pipelet.api.results.base64_images import Pieces, chunks_of, length_of
from pipelet.domain.errors import PipeletError


class StreamedResult(Response):
    """A response of known length. If it cannot be sent whole, the connection is aborted, so that no client takes a part
    for the whole.

    Args:
        first: the first chunk of the body.
        rest: the others.
        length: bytes of the body.
        user: whose open connections it counts among.
    """

    media_type = "application/json"

    def __init__(
        self,
        deps: Dependencies,
        first: bytes,
        rest: AsyncGenerator[bytes],
        *,
        length: int,
        user: str,
        headers: Mapping[str, str],
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({**headers, "content-length": str(length)})
        self._deps = deps
        self._first = first
        self._rest = rest
        self._user = user

    @classmethod
    async def start(cls, deps: Dependencies, pieces: Pieces, *, user: str, headers: Mapping[str, str]) -> Self:
        """Read the first chunk, before the status is sent.

        Raises:
            NotFound, BlobStoreError: the first file cannot be read.
        """
        chunks = chunks_of(pieces, deps.blobs)
        return cls(deps, await anext(chunks), chunks, length=length_of(pieces), user=user, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._deps.connection_limiter.hold(self._user):
            await self._send_all(scope, receive, send)

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        with watch_disconnect(receive) as disconnected:
            try:
                async with aclosing(self._rest) as rest:
                    await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                    await self._write(send, self._first, more=True)
                    async for chunk in rest:
                        if disconnected.done():
                            return
                        await self._write(send, chunk, more=True)
                    await self._write(send, b"", more=False)
            except (TimeoutError, PipeletError):  # the client does not read, or a file is gone
                abort_connection(scope)

    async def _write(self, send: Send, body: bytes, *, more: bool) -> None:
        async with asyncio.timeout(self._deps.stream_timeouts.write):
            await send({"type": "http.response.body", "body": body, "more_body": more})
