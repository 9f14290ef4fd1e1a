"""`pipelet status`: how far a request is, and its files."""

import json
from pathlib import Path
from typing import Any

from pipelet.cli.connection import HERE, Connection, connect
from pipelet.cli.flags import AsJson, Switch
from pipelet.cli.following import follow
from pipelet.cli.saving import prepare, save
from pipelet.client import Client, Status
from pipelet.system.text import visible

FAILED = 1


def status(
    request_id: str,
    /,
    *,
    watch: Switch = False,
    out: Path | None = None,
    as_json: AsJson = False,
    connection: Connection = HERE,
) -> int:
    """Show how far a request is; where it has ended, its files, or why it failed (then the exit code is 1).

    For example:

        pipelet status rn5r12q9pdu6yvb3nxty

        pipelet status rn5r12q9pdu6yvb3nxty --watch --out pictures

    Parameters
    ----------
    request_id
        What `pipelet generate --no-wait` printed.
    watch
        Wait for its end, and show the way there.
    out
        Where the request has ended, save its files in this folder and print their paths.
    as_json
        Print one JSON object and nothing else: the service's answer, with the result where there is one.
    """
    if out is not None:
        prepare(out)
    with connect(connection) as client:
        found = follow(client, request_id) if watch else client.status(request_id)
        answer = _answer(client, found, out)
    if as_json:
        print(json.dumps(answer))
    else:
        _tell(found, answer)
    return FAILED if found.error is not None else 0


def _answer(client: Client, found: Status, out: Path | None) -> dict[str, Any]:
    answer = dict(found.body)
    if found.is_finished and found.error is None:
        result = client.result(found.request_id)
        answer["result"] = dict(result.body)
        if out is not None:
            answer["files"] = [str(path) for path in save(client, found.request_id, result, out)]
    return answer


def _tell(found: Status, answer: dict[str, Any]) -> None:
    if "files" in answer:
        print("\n".join(answer["files"]))
        return
    seconds = found.estimated_total_seconds
    in_all = "" if seconds is None else f" ({'' if found.is_finished else 'about '}{seconds} s in all)"
    print(visible(f"{found.status}: {found.message}{in_all}"))
    if "result" in answer:
        print("\n".join(map(visible, answer["result"]["results"])))
