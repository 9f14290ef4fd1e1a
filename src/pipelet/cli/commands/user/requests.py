"""`pipelet requests`: list, show, keep, delete, cancel and retry requests."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from cyclopts import App, Parameter

from pipelet.cli.database import CommandError
from pipelet.cli.options import DEFAULT_CONNECTION, AsJson, ConnectionOptions, OwnRequestId, Switch, connect
from pipelet.cli.output import print_table, requests
from pipelet.cli.request_table import COLUMNS, live_table, request_row
from pipelet.client import Client
from pipelet.client_types import Conflict
from pipelet.system.text import visible

app = App(name="requests", help="List, show, keep, delete, cancel and retry requests.")

_MAX_PAGE = 100
_WATCH_INTERVAL = 1.0
_Expect = Annotated[int | None, Parameter(help="Number of requests that the filter finds; nothing is done otherwise.")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class FilterOptions:
    app: str | None = None
    """Name of an app."""
    state: str | None = None
    """`queued`, `running`, `succeeded`, `failed` or `cancelled`."""
    query: Annotated[str | None, Parameter(alias="-q")] = None
    """A part of the prompt, or an id."""
    since: str | None = None
    """Submitted at this time or later, such as 2026-11-30 or 2026-11-30T09:00:00Z."""
    until: str | None = None
    """Submitted before this time."""
    error_type: str | None = None
    """Reason of a failure, such as `out_of_memory`."""
    retried: bool | None = None
    """Requests that were retried; `--no-retried` finds the others."""
    user: str | None = None
    """Requests of this user; `*` is every user. Needs a key with the scope `observe`, as the following do."""
    key_id: str | None = None
    """Requests of this key."""
    worker: str | None = None
    """Requests of this worker."""
    priority: int | None = None
    """Requests of this priority."""

    def criteria(self) -> dict[str, Any]:
        """The filter in the words of the API."""
        found = {name: value for name, value in asdict(self).items() if value is not None}
        for name, ours in (("query", "q"), ("key_id", "key")):
            if name in found:
                found[ours] = found.pop(name)
        return found


_EVERYTHING = FilterOptions()


@app.command(name="list")
def list_requests(
    *,
    wanted: FilterOptions = _EVERYTHING,
    limit: int = 20,
    watch: Switch = False,
    as_json: AsJson = False,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> None:
    """List your requests, newest first; with a key that may observe, also those of others.

    For example:

        pipelet requests list

        pipelet requests list --state failed --since 2026-11-30

        pipelet requests list --watch

    Parameters
    ----------
    limit
        Maximum number of requests.
    watch
        Show the list again every second, until Ctrl-C.
    """
    with connect(connection) as client:
        if watch:
            with live_table() as show:
                while True:
                    show(_find(client, wanted, limit))
                    time.sleep(_WATCH_INTERVAL)
        items = _find(client, wanted, limit)
    if as_json:
        print(json.dumps(items))
    else:
        print_table(COLUMNS, map(request_row, items))


@app.command
def show(
    request_id: OwnRequestId, /, *, as_json: AsJson = False, connection: ConnectionOptions = DEFAULT_CONNECTION
) -> None:
    """Show all that is known of a request.

    For example:

        pipelet requests show rn5r12q9pdu6yvb3nxty
    """
    with connect(connection) as client:
        found = client.request(request_id)
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        if value not in (None, [], {}):
            print(f"{name}: {visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))}")


@app.command
def keep(request_id: OwnRequestId, /, *, connection: ConnectionOptions = DEFAULT_CONNECTION) -> None:
    """Keep a request and its files: they are not deleted after the retention time.

    For example:

        pipelet requests keep rn5r12q9pdu6yvb3nxty
    """
    with connect(connection) as client:
        client.keep(request_id)
    print("Kept: it stays until you delete it, or stop keeping it with `pipelet requests unkeep`.")


@app.command
def unkeep(request_id: OwnRequestId, /, *, connection: ConnectionOptions = DEFAULT_CONNECTION) -> None:
    """Stop keeping a request: it is deleted after the retention time, like all others.

    For example:

        pipelet requests unkeep rn5r12q9pdu6yvb3nxty
    """
    with connect(connection) as client:
        client.keep(request_id, kept=False)
    print("Not kept any more: it is deleted after the retention time.")


@app.command
def delete(
    *ids: str,
    wanted: FilterOptions = _EVERYTHING,
    expect: _Expect = None,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> None:
    """Delete requests and their files, for good. Queued ones are cancelled first; running ones are left.

    For example:

        pipelet requests delete rn5r12q9pdu6yvb3nxty

        pipelet requests delete --state failed --expect 12
    """
    _act("delete", "Deleted", ids, wanted, expect, connection)


@app.command
def cancel(
    *ids: str,
    wanted: FilterOptions = _EVERYTHING,
    expect: _Expect = None,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> None:
    """Cancel queued requests: they never run. Others are left.

    For example:

        pipelet requests cancel rn5r12q9pdu6yvb3nxty

        pipelet requests cancel --state queued --expect 300
    """
    _act("cancel", "Cancelled", ids, wanted, expect, connection)


@app.command
def retry(
    *ids: str,
    wanted: FilterOptions = _EVERYTHING,
    expect: _Expect = None,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> None:
    """Queue failed and cancelled requests again, with the same seeds. The copies have new ids; see `requests list`.

    For example:

        pipelet requests retry rn5r12q9pdu6yvb3nxty

        pipelet requests retry --error-type out_of_memory --expect 3
    """
    _act("retry", "Queued again", ids, wanted, expect, connection)


def _find(client: Client, wanted: FilterOptions, limit: int) -> list[Mapping[str, Any]]:
    items: list[Mapping[str, Any]] = []
    after: str | None = None
    while len(items) < limit:
        page = client.requests(limit=min(_MAX_PAGE, limit - len(items)), after=after, **wanted.criteria())
        items += page.items
        after = page.next
        if after is None:
            break
    return items


def _act(
    action: str,
    done: str,
    ids: Sequence[str],
    wanted: FilterOptions,
    expect: int | None,
    connection: ConnectionOptions,
) -> None:
    """Act on one request, on several ids, or on all that a filter finds."""
    criteria = wanted.criteria()
    if bool(ids) == bool(criteria):
        raise CommandError("Give the ids of requests, or a filter such as --state failed; not both.")
    selection: dict[str, Any] = {"ids": list(ids)} if ids else {"filter": criteria, "expect": expect or 0}
    with connect(connection) as client:
        try:
            result = client.act_on_requests(action, **selection)
        except Conflict as error:
            if error.count is None:
                raise
            raise CommandError(
                f"The filter finds {requests(error.count)}. To {action} them, add --expect {error.count}."
            ) from error
    print(f"{done}: {requests(result.done)}." + (f" Skipped: {result.skipped:,}." if result.skipped else ""))
    if ids and not result.done:
        raise CommandError("None of them could be changed: see `pipelet requests show`.")
