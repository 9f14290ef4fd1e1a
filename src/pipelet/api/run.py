"""fal's call without a queue: the answer to the submit is the result, on the same connection.

Here it is a request like any other. It waits its turn, is kept like others, and can be read again by its id.
"""

import asyncio

import structlog
from fastapi import Request
from fastapi.responses import Response

from pipelet.api import queue
from pipelet.api.parts import Parts, parts_of
from pipelet.api.problems import problem_response
from pipelet.api.status import see
from pipelet.api.submit import accept
from pipelet.domain.job import CancelAnswer, Job
from pipelet.domain.keys import ApiKey

log = structlog.get_logger()

_GOES_ON = "The service stops, and the request {} goes on: its result can be read by this id."
_CANCELLED = "The service stops, and the request {} is cancelled. Send it again."


async def run(request: Request) -> Response:
    """Whoever hangs up is not waited for: the request is cancelled, if it has not begun.

    Unless it has an `Idempotency-Key`: then the same call may come again, and gets the result.
    """
    parts = parts_of(request)
    key = await parts.doorkeeper.admit(request.scope["headers"])
    parts.held.refuse_one_more(key.user)
    with parts.held.hold(key.user):
        return await _run(parts, request, key)


async def _run(parts: Parts, request: Request, key: ApiKey) -> Response:
    job = (await accept(parts, request)).job
    hung_up = asyncio.create_task(_until_hung_up(request))
    try:
        has_ended = await _ends(parts, job.id, key, hung_up)
    finally:
        hung_up.cancel()
    may_come_again = "idempotency-key" in request.headers
    if hung_up.done() and not may_come_again:
        await _cancel(parts, job)
    if not has_ended and parts.watcher.is_closed:
        return await _stopped(parts, job, may_come_again=may_come_again)
    # It may have waited for hours: a key that was revoked meanwhile opens nothing.
    await parts.doorkeeper.admit(request.scope["headers"], asks_again=True)
    return queue.result_of(parts, request, await queue.find_any(parts, job.id))


async def _stopped(parts: Parts, job: Job, *, may_come_again: bool) -> Response:
    """fal's clients make a call again that is answered with 503, and none with 500: nothing is to be drawn twice."""
    status, text = 503, _GOES_ON
    if not may_come_again:
        status, text = (503, _CANCELLED) if await _cancel(parts, job) else (500, _GOES_ON)
    return problem_response(status, text.format(job.id), error_type="service_stops", headers=queue.names(job))


async def _ends(parts: Parts, job_id: str, key: ApiKey, hung_up: "asyncio.Task[None]") -> bool:
    """Waits until it does. False: the client is gone, its key is refused, or we stop."""
    sight = await see(parts, await queue.find_any(parts, job_id))
    with parts.watcher.watch(sight, key) as watch:
        hung_up.add_done_callback(lambda _: watch.news.set())

        def is_over() -> bool:
            return hung_up.done() or parts.watcher.is_closed or not (watch.is_there and watch.is_admitted)

        while not (sight.job.state.is_final or is_over()):
            await watch.news.wait()
            watch.news.clear()
            sight = watch.sight
        return sight.job.state.is_final or not watch.is_there


async def _until_hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _cancel(parts: Parts, job: Job) -> bool:
    """False: it has begun."""
    is_cancelled = await parts.store.cancel(job.id, parts.clock.now()) is CancelAnswer.CANCELLED
    if is_cancelled:
        log.info("request.abandoned", request_id=job.id)
    return is_cancelled
