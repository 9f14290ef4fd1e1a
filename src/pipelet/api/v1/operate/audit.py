"""The audit trail."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from pipelet.api.v1.dependencies import get_services
from pipelet.api.v1.lists import decode_cursor, encode_cursor, list_response
from pipelet.api.v1.reading import read_query
from pipelet.api.v1.schemas import Output, PageQuery, iso_time
from pipelet.domain.accounts.audit import StoredEntry
from pipelet.services.accounts.access import Caller

_LIST = "audit"


class AuditItem(Output):
    id: int
    at: str
    user: str = Field(description="User of the key; on the command line, user of the operating system.")
    key: str | None = Field(description="Id of the key; null on the command line.")
    address: str | None = Field(description="Network address of the client; null on the command line.")
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditList(Output):
    items: list[AuditItem]
    next: str | None


async def list_audit(request: Request, _: Caller) -> Response:
    query, store = read_query(request, PageQuery), get_services(request).store
    after = decode_cursor(query.after, _LIST, int)
    found = await store.audit.list_entries(query.limit + 1, before_id=after and after[0])
    page = found[: query.limit]
    following = encode_cursor(_LIST, page[-1].id) if len(found) > len(page) else None
    return list_response([_facts(entry) for entry in page], following)


def _facts(entry: StoredEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": iso_time(entry.at),
        "user": entry.actor.name,
        "key": entry.actor.key_id,
        "address": entry.actor.address,
        "action": entry.action,
        "target": entry.target,
        "before": entry.before,
        "after": entry.after,
    }
