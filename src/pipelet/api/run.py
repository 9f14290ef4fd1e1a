"""fal's call without a queue: the answer to the submit is the result, on the same connection.

Here it is a request like any other. It waits its turn, is kept like others, and can be read again by its id.
"""

import asyncio

import structlog
from fastapi import Request
from fastapi.responses import Response

from pipelet.api import queue
from pipelet.api.parts import Parts, parts_of
from pipelet.domain.job import CancelAnswer

log = structlog.get_logger()

_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5
"""Seconds between two looks. A request takes seconds to minutes, and a look costs less than a client's poll."""


async def run(request: Request) -> Response:
    """Whoever hangs up is not waited for: the request is cancelled, if it has not begun.

    Unless it has an `Idempotency-Key`: then the same call may come again, and gets the result.
    """
    parts = parts_of(request)
    submitted = await queue.submit(request)
    request_id = submitted.headers["x-fal-request-id"]
    if not await _ends(parts, request, request_id) and "idempotency-key" not in request.headers:
        await _cancel(parts, request_id)
    request.scope["path_params"] = {
        "app": request.scope["path"].rstrip("/").rpartition("/")[2],
        "request_id": request_id,
    }
    return await queue.result(request)


async def _ends(parts: Parts, request: Request, request_id: str) -> bool:
    """Waits until it has ended. False: nobody listens any more."""
    pause = _FIRST_PAUSE
    while (job := await parts.store.get(request_id)) is not None and not job.state.is_final:
        if await request.is_disconnected():
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 1.3, _LAST_PAUSE)
    return True


async def _cancel(parts: Parts, request_id: str) -> None:
    if await parts.store.cancel(request_id, parts.clock.now()) is CancelAnswer.CANCELLED:
        log.info("request.abandoned", request_id=request_id)
