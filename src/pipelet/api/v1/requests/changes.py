"""Change requests: keep, delete, and the actions on many."""

from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.errors import error_detail, json_response, problem_response, validation_problem
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.reading import read_body
from pipelet.api.v1.requests.schemas import BulkBody, CancelBody, ChangeBody
from pipelet.domain.errors import CountDiffers
from pipelet.services.accounts.access import Caller
from pipelet.services.requests.bulk import BulkActions, BulkResult, Selection

_BulkAction = Callable[[BulkActions, Caller, Selection], Awaitable[BulkResult]]


async def change_request(request: Request, caller: Caller) -> Response:
    request_id, body = request.path_params["request_id"], await read_body(request, caller, ChangeBody)
    await get_services(request).request_actions.keep(caller, request_id, body.keep)
    return json_response(200, {"id": request_id, "kept": body.keep})


async def delete_request(request: Request, caller: Caller) -> Response:
    await get_services(request).request_actions.delete(caller, request.path_params["request_id"])
    return Response(status_code=204)


async def cancel_requests(request: Request, caller: Caller) -> Response:
    body = await read_body(request, caller, CancelBody)
    return await _act(request, caller, partial(BulkActions.cancel, running=body.in_progress), body)


async def delete_requests(request: Request, caller: Caller) -> Response:
    return await _act(request, caller, BulkActions.delete, await read_body(request, caller, BulkBody))


async def retry_requests(request: Request, caller: Caller) -> Response:
    return await _act(request, caller, BulkActions.retry, await read_body(request, caller, BulkBody))


async def _act(request: Request, caller: Caller, act: _BulkAction, body: BulkBody) -> Response:
    services, selection = get_services(request), _selection(body)
    try:
        result = await act(services.bulk_actions, caller, selection)
    except CountDiffers as error:
        return problem_response(409, str(error), error_type="count_differs", extra={"count": error.found})
    return json_response(200, {"done": result.done, "skipped": result.skipped})


def _selection(body: BulkBody) -> Selection:
    if (body.ids is None) == (body.filter is None):
        raise validation_problem(error_detail(["body", "ids"], "Give either `ids` or `filter`.", "missing"))
    if body.ids is not None and body.expect is not None:
        message = "Leave it out: it goes with `filter`."
        raise validation_problem(error_detail(["body", "expect"], message, sent=body.expect))
    if body.ids is not None:
        return Selection(ids=body.ids)
    if body.filter is None or body.expect is None:
        message = "Give the number of requests that the filter finds, so that no other ones are changed."
        raise validation_problem(error_detail(["body", "expect"], message, "missing"))
    return Selection(wanted=body.filter.to_filter(), expect=body.expect)
