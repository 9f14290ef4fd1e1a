"""Long polling: a status that is asked for with `wait`."""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request

from pipelet.api.auth import authenticate_to_generate
from pipelet.api.connections import watch_disconnect
from pipelet.api.dependencies import Dependencies
from pipelet.api.errors import error_detail, validation_problem
from pipelet.domain.jobs.job import Job

MAX_WAIT = 60
"""Seconds."""
_PREFERENCE = re.compile(r"\s*wait\s*=\s*\"?([^\s\",;]*)\"?\s*(;.*)?", re.IGNORECASE)


def read_wait(scope: Mapping[str, Any]) -> int | None:
    """The seconds of `?wait=`, or of `Prefer: wait=`; None without either, and for HEAD, which never waits.

    Raises:
        Problem: 422 if it is not a number of seconds that is allowed.
    """
    sent = None
    if b"wait" in scope["query_string"]:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        sent = next((("query", "wait", value) for name, value in query if name == "wait"), None)
    for name, value in scope["headers"]:
        if name == b"prefer" and sent is None:
            found = (_PREFERENCE.fullmatch(each) for each in value.decode("latin-1").split(","))
            sent = next((("header", "Prefer", match[1]) for match in found if match), None)
    if sent is None:
        return None
    where, field, text = sent
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= MAX_WAIT):
        message = f"Give whole seconds from 1 to {MAX_WAIT}, and ask again for a longer wait."
        raise validation_problem(error_detail([where, field], message, sent=text))
    return None if scope["method"] == "HEAD" else int(text)


async def long_poll(deps: Dependencies, request: Request, job: Job, seconds: int) -> Job:
    """The request once it has ended, or as it is when the time is over or the service stops.

    Raises:
        NotFound: it was deleted.
        Problem: 429 or 503, there are too many open connections.
        RefusedKey: the key of the caller is not valid any more.
    """
    if job.state.is_final:
        return job
    key = await authenticate_to_generate(deps, request.scope)
    with (
        deps.connection_limiter.admit(key.user),
        watch_disconnect(request.receive) as disconnected,
        contextlib.suppress(TimeoutError),
    ):
        async with asyncio.timeout(seconds):
            await deps.waiting.for_end(job.id, key, disconnected)
    await deps.authenticator.find(key.hash, refresh=True)
    return await deps.statuses.get_job(job.id)
