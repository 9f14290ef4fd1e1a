"""Read requests: lists and details."""

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.errors import json_response
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.lists import decode_cursor, encode_cursor, list_response
from pipelet.api.v1.reading import read_query
from pipelet.api.v1.requests.schemas import Criteria, ListQuery
from pipelet.api.v1.requests.views import base_url_of, detail_response, note_reads, request_item
from pipelet.domain.jobs.job import JobState
from pipelet.domain.jobs.listing import Place
from pipelet.services.accounts.access import Caller

_LIST = "requests"


async def list_requests(request: Request, caller: Caller) -> Response:
    services, query = get_services(request), read_query(request, ListQuery)
    place = decode_cursor(query.after, _LIST, float, str)
    after = None if place is None else Place(*place)
    views, following = await services.request_lists.page(caller, query.to_filter(), after=after, limit=query.limit)
    await note_reads(services, caller, views)
    base_url = base_url_of(request)
    items = [request_item(services, caller, view, base_url=base_url) for view in views]
    return list_response(items, None if following is None else encode_cursor(_LIST, *following))


async def count_requests(request: Request, caller: Caller) -> Response:
    counts = await get_services(request).request_lists.count(caller, read_query(request, Criteria).to_filter())
    return json_response(200, {"count": counts.total(), "by_state": {state.value: counts[state] for state in JobState}})


async def show_request(request: Request, caller: Caller) -> Response:
    services = get_services(request)
    view = await services.request_lists.get(caller, request.path_params["request_id"])
    return await detail_response(request, services, caller, view)
