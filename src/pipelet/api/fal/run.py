"""Submit a request and wait for its result on the same connection.

The request is queued, stored and read again by its id like any other.
"""

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.auth import authenticate_to_generate
from pipelet.api.connections import watch_disconnect
from pipelet.api.dependencies import Dependencies, get_dependencies
from pipelet.api.errors import problem_response
from pipelet.api.fal.lookup import request_id_headers
from pipelet.api.fal.result import result_response
from pipelet.api.fal.submit import submit_request
from pipelet.api.results.waiting import cancelled_if_lost, stop_error
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.jobs.job import Job
from pipelet.services.requests.submit import SubmitResult

Submit = Callable[[Dependencies, Request], Awaitable[SubmitResult]]
Respond = Callable[[Dependencies, Request, Job], Awaitable[Response]]


async def run(request: Request) -> Response:
    """If the client disconnects, a request that has not started is cancelled.

    A call with an `Idempotency-Key` is not: the client may send it again to get the result.
    """
    return await run_with(request, submit=submit_request, respond=result_response)


async def run_with(request: Request, *, submit: Submit, respond: Respond) -> Response:
    """Run a request that `submit` queues; `respond` makes the response when it has ended."""
    deps = get_dependencies(request)
    key = await authenticate_to_generate(deps, request.scope)
    with deps.connection_limiter.admit(key.user):
        return await _run(deps, request, key, submit, respond)


async def _run(deps: Dependencies, request: Request, key: ApiKey, submit: Submit, respond: Respond) -> Response:
    job, may_be_repeated = (await submit(deps, request)).job, "idempotency-key" in request.headers
    with watch_disconnect(request.receive) as disconnected:
        async with cancelled_if_lost(deps, job, may_be_repeated=may_be_repeated, running=False):
            has_ended = await deps.waiting.for_end(job.id, key, disconnected)
    if disconnected.done() and not may_be_repeated:
        await deps.waiting.cancel(job)
    if not has_ended and deps.status_feed.is_closed:
        stop = await stop_error(deps, job, may_be_repeated=may_be_repeated, then="read its result by this id")
        return problem_response(stop.status, stop.message, error_type=stop.error_type, headers=request_id_headers(job))
    # After hours of waiting, the key may be revoked.
    await deps.authenticator.find(key.hash, refresh=True)
    return await respond(deps, request, await deps.statuses.get_job(job.id))
