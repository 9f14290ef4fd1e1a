"""Usage: the caller's own, or that of all users."""

from datetime import date

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.errors import json_response
from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.description import operation
from pipelet.api.v1.reading import read_query
from pipelet.api.v1.schemas import Input, Output, Text
from pipelet.domain.accounts.scopes import Scope
from pipelet.services.accounts.access import Caller
from pipelet.services.accounts.usage import DEFAULT_BY, FIELDS, load_usage, parse_fields, usage_csv, usage_document

_CSV = "text/csv"
_LIST_OF_FIELDS = rf"^(({'|'.join(FIELDS)})(,({'|'.join(FIELDS)}))*)?$"


class UsageQuery(Input):
    first: date | None = Field(None, alias="from", description="First UTC day; 29 days before the last if not given.")
    last: date | None = Field(
        None, alias="to", description="Last UTC day, included; today if not given, or a later first day."
    )
    by: Text = Field(
        ",".join(DEFAULT_BY),
        max_length=64,
        json_schema_extra={"pattern": _LIST_OF_FIELDS},  # what does not match is refused with a better message
        description="What the figures are grouped by: any of `day`, `user`, `key` and `app`, separated by commas.",
    )
    user: Text | None = Field(None, max_length=256, description="Requests of this user only; needs `observe`.")


class Figures(Output):
    requests: int = Field(description="Requests that ended, however they ended.")
    images: int
    megapixels: float
    device_seconds: float
    failed: int
    cancelled: int


class UsageItem(Figures):
    """What it is grouped by, and the figures."""

    day: date | None = None
    user: str | None = None
    key_id: str | None = None
    key: str | None = Field(None, description="Name of the key; null if it is unknown.")
    app: str | None = None


class Usage(Output):
    first: date = Field(alias="from")
    last: date = Field(alias="to")
    by: list[str]
    items: list[UsageItem]
    total: Figures


USAGE = operation(
    "Show usage",
    "Your own with the scope `generate`, that of all users with `observe`. `Accept: text/csv` returns CSV.",
    answer=Usage,
    query=UsageQuery,
)


async def show_usage(request: Request, caller: Caller) -> Response:
    query = read_query(request, UsageQuery)
    if query.user not in (None, caller.user):
        caller.require(Scope.OBSERVE, "The usage of another user")
    user = query.user if caller.has(Scope.OBSERVE) else caller.user
    report = await load_usage(
        get_services(request).store, first=query.first, last=query.last, by=parse_fields(query.by), user=user
    )
    if _wants_csv(request):
        name = f"usage-{report.first}-{report.last}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept"}
        return Response(usage_csv(report), headers=headers, media_type=_CSV)
    return json_response(200, usage_document(report), {"Vary": "Accept"})


def _wants_csv(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return any(each.partition(";")[0].strip().lower() == _CSV for each in accepted.split(","))
