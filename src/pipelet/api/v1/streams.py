"""Streams of changes: the caller's requests, and the overview for operators."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, cast

from fastapi import Request
from fastapi.responses import Response
from fastapi.sse import format_sse_event
from pydantic import Field

from pipelet.api.dependencies import get_dependencies
from pipelet.api.errors import as_json
from pipelet.api.event_stream import EventStream, preview_event
from pipelet.api.v1.dependencies import Services
from pipelet.api.v1.description import operation
from pipelet.api.v1.operate.overview import overview_document
from pipelet.api.v1.reading import read_query
from pipelet.api.v1.requests.views import request_item
from pipelet.api.v1.schemas import Input, iso_time
from pipelet.services.accounts.access import Caller
from pipelet.services.queue.dashboard import load_dashboard
from pipelet.services.queue.shared_feed import SharedFeed
from pipelet.services.requests.change_feed import ChangeFeed
from pipelet.services.requests.changes import AppChanged, Change, Cursor, RequestChanged, RequestDeleted, Subscription
from pipelet.services.requests.previews import PreviewFeed, PreviewSubscription
from pipelet.services.requests.status import StatusReader

_ID = "[0-9a-z]{20}"
_CONTENT = {"text/event-stream": {"schema": {"type": "string"}}}


class StreamQuery(Input):
    previews: str | None = Field(
        None,
        pattern=rf"^{_ID}(,{_ID}){{0,7}}$",
        description="Up to 8 ids of your requests, separated by commas. Others are ignored.",
    )


CHANGES = operation(
    "Stream the changes of your requests",
    "Server-sent events. At first the newest 50 requests and those that run; then each that changes. `request` has an "
    "item as in the list (its URLs have no host unless PIPELET_PUBLIC_URL is set), `deleted` an `id`,"
    " `app` whether an app is paused and how many workers serve it. `list` says "
    "that more has changed than the stream tells: read the list again. A client that sends `Last-Event-ID` gets what "
    "it missed. With `previews`, `preview` has an estimate of an image of one of these requests while it runs: its "
    "`id`, `image` (a data URI), `index` and `step`, at most two a second.",
    errors=[429],
    content=_CONTENT,
    query=StreamQuery,
)
OVERVIEW_CHANGES = operation(
    "Stream the overview",
    "Server-sent events, at most one a second: what `GET /api/v1/operate/overview` returns, whenever it has changed.",
    errors=[429],
    content=_CONTENT,
)


@dataclass(frozen=True, slots=True)
class Feeds:
    changes: ChangeFeed
    overview: SharedFeed

    @classmethod
    def of(cls, services: Services, statuses: StatusReader, *, public_url: str | None) -> Self:
        store, lists = services.store, services.request_lists

        async def overview() -> bytes:
            document = overview_document(await load_dashboard(store, services.catalog))
            return _event("overview", document)

        return cls(
            ChangeFeed(store, statuses, lists, partial(_encode, services, public_url or "")),
            SharedFeed(store, overview),
        )

    def close(self) -> None:
        """End every open stream, and those that are opened later."""
        self.changes.close()
        self.overview.close()


async def stream_changes(request: Request, caller: Caller) -> Response:
    deps, query = get_dependencies(request), read_query(request, StreamQuery)
    deps.connection_limiter.check(caller.user)
    cursor = Cursor.parse(request.headers.get("last-event-id", ""))
    watch = partial(_feeds(request).changes.watch, caller.key, cursor)
    if query.previews is None:
        return EventStream(deps, caller.user, watch)
    return EventStream(deps, caller.user, partial(_watch_both, watch, deps.previews, query.previews.split(",")))


async def stream_overview(request: Request, caller: Caller) -> Response:
    deps = get_dependencies(request)
    deps.connection_limiter.check(caller.user)
    return EventStream(deps, caller.user, partial(_feeds(request).overview.watch, caller.key))


@dataclass(frozen=True, slots=True)
class _ChangesAndPreviews:
    """A subscription to both, for one stream."""

    changes: Subscription
    previews: PreviewSubscription

    @property
    def updated(self) -> asyncio.Event:
        return self.changes.updated

    @property
    def is_open(self) -> bool:
        return self.changes.is_open

    def take(self) -> bytes:
        """Changes come first: a client that gets a preview knows its request."""
        if changes := self.changes.take():
            return changes
        return b"".join(preview_event(each, id=job_id) for job_id, each in self.previews.take().items())


@contextlib.contextmanager
def _watch_both(
    watch: Callable[[], AbstractContextManager[Subscription]], feed: PreviewFeed, ids: Sequence[str]
) -> Iterator[_ChangesAndPreviews]:
    with watch() as changes, feed.watch(ids, changes.key.user, changes.updated) as previews:
        yield _ChangesAndPreviews(changes, previews)


def _feeds(request: Request) -> Feeds:
    return cast(Feeds, request.scope["app"].state.v1_feeds)


def _encode(services: Services, base_url: str, change: Change, cursor: Cursor) -> bytes:
    """
    Args:
        base_url: before the paths of thumbnails. Subscribers share an event, so it is not what a client has called.
    """
    match change:
        case RequestChanged(view, caller):
            return _event("request", request_item(services, caller, view, base_url=base_url), cursor)
        case RequestDeleted(request_id):
            return _event("deleted", {"id": request_id}, cursor)
        case AppChanged(app, paused_at, workers):
            return _event("app", {"app": app, "paused_at": iso_time(paused_at), "workers": workers}, cursor)
        case _:
            return _event("list", {}, cursor)


def _event(name: str, document: dict[str, Any], cursor: Cursor | None = None) -> bytes:
    data = as_json(document).decode("ascii")
    return format_sse_event(data_str=data, event=name, id=None if cursor is None else str(cursor))
