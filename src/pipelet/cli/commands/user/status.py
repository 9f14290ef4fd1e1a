"""`pipelet status`: the status of a request, and its files."""

import json
from pathlib import Path
from typing import Any

from pipelet.cli.download import prepare, save
from pipelet.cli.options import DEFAULT_CONNECTION, AsJson, ConnectionOptions, OwnRequestId, Switch, connect
from pipelet.cli.progress import follow
from pipelet.client import Client
from pipelet.client_types import Status
from pipelet.system.text import visible

FAILED = 1


def status(
    request_id: OwnRequestId,
    /,
    *,
    watch: Switch = False,
    out: Path | None = None,
    as_json: AsJson = False,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> int:
    """Show the status of a request; when it has ended, its files, or why it failed (the exit code is then 1).

    With --json it prints the response of the service, with the result if there is one.

    For example:

        pipelet status rn5r12q9pdu6yvb3nxty

        pipelet status rn5r12q9pdu6yvb3nxty --watch --out images

    Parameters
    ----------
    watch
        Wait for its end, and show the progress.
    out
        Folder for the files of a finished request; prints their paths.
    """
    if out is not None:
        prepare(out)
    with connect(connection) as client:
        found = follow(client, request_id) if watch else client.status(request_id)
        document = _document(client, found, out)
    if as_json:
        print(json.dumps(document))
    else:
        _print(found, document)
    return FAILED if found.error is not None else 0


def _document(client: Client, found: Status, out: Path | None) -> dict[str, Any]:
    document = dict(found.body)
    if found.is_finished and found.error is None:
        result = client.result(found.request_id)
        document["result"] = dict(result.body)
        if out is not None:
            document["files"] = [str(path) for path in save(client, found.request_id, result, out)]
    return document


def _print(found: Status, document: dict[str, Any]) -> None:
    if "files" in document:
        print("\n".join(document["files"]))
        return
    seconds = found.estimated_total_seconds
    in_all = "" if seconds is None else f" ({'' if found.is_finished else 'about '}{seconds} s in total)"
    print(visible(f"{found.status}: {found.message}{in_all}"))
    if "result" in document:
        print("\n".join(map(visible, document["result"]["results"])))
