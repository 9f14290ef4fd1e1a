"""Deliveries of webhooks, and their replay."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.errors import json_response
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.lists import decode_cursor, encode_cursor, list_response
from pipelet.api.v1.reading import read_query
from pipelet.api.v1.schemas import Output, PageQuery, iso_time
from pipelet.domain.accounts.scopes import Scope
from pipelet.domain.errors import NotFound
from pipelet.domain.webhooks.delivery import DeliveryReport, DeliveryState
from pipelet.services.accounts.access import Caller
from pipelet.services.queue import webhooks

_LIST = "webhooks"


class WebhookQuery(PageQuery):
    state: DeliveryState | None = None


class WebhookAttempt(Output):
    at: str
    seconds: float
    code: int | None = Field(description="Status code of the response; null if there was none.")
    error: str | None = Field(description="Null if it succeeded, and for other users' requests without `content`.")


class WebhookItem(Output):
    request_id: str
    user: str
    url: str | None = Field(description="Null for other users' requests without `content`.")
    state: str
    ended_at: str = Field(description="When the request ended.")
    next_attempt_at: str | None
    attempts: list[WebhookAttempt]


class WebhookList(Output):
    items: list[WebhookItem]
    next: str | None


async def list_webhooks(request: Request, caller: Caller) -> Response:
    query, services = read_query(request, WebhookQuery), get_services(request)
    after = decode_cursor(query.after, _LIST, float, str)
    found = await services.store.outbox.list_deliveries(query.state, query.limit + 1, after=after)
    page = found[: query.limit]
    await _note_reads(request, caller, page)
    following = encode_cursor(_LIST, page[-1].since, page[-1].job_id) if len(found) > len(page) else None
    return list_response([_facts(report, caller) for report in page], following)


async def show_webhook(request: Request, caller: Caller) -> Response:
    report = await get_services(request).store.outbox.get_delivery(request.path_params["request_id"])
    if report is None:
        raise NotFound("There is no request with this id whose webhook is due or was sent.")
    await _note_reads(request, caller, [report])
    return json_response(200, _facts(report, caller))


async def replay_webhook(request: Request, caller: Caller) -> Response:
    await webhooks.replay(get_services(request).store, caller.actor, request.path_params["request_id"])
    return Response(status_code=204)


async def _note_reads(request: Request, caller: Caller, reports: list[DeliveryReport]) -> None:
    others = [report.job_id for report in reports if report.user != caller.user]
    if caller.has(Scope.CONTENT) and others:
        await get_services(request).accounts.content_reads.note(caller.actor, others)


def _facts(report: DeliveryReport, caller: Caller) -> dict[str, Any]:
    is_visible = report.user == caller.user or caller.has(Scope.CONTENT)
    return {
        "request_id": report.job_id,
        "user": report.user,
        "url": report.url if is_visible else None,
        "state": report.state.value,
        "ended_at": iso_time(report.since),
        "next_attempt_at": iso_time(report.due_at),
        "attempts": [
            {
                "at": iso_time(each.at),
                "seconds": round(each.seconds, 3),
                "code": each.code,
                "error": each.error if is_visible else None,
            }
            for each in report.attempts
        ],
    }
