"""`pipelet webhooks`: who was told, telling them again, and the keys. Straight in the database, as `pipelet keys`."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from pipelet import settings
from pipelet.cli.flags import AsJson
from pipelet.cli.in_store import in_store
from pipelet.domain.ports import JobStore
from pipelet.domain.webhook_keys import replaced, rotated
from pipelet.domain.webhooks import DeliveryReport, DeliveryState

REFUSED = 1

app = App(name="webhooks", help="See who was told that requests have ended, and tell them again.")


def _positive(_type: object, value: int) -> None:
    if value < 1:
        raise ValueError("give a number, 1 or more")


@app.command(name="list")
def list_deliveries(
    *,
    failed: bool = False,
    limit: Annotated[int, Parameter(validator=_positive)] = 50,
    as_json: AsJson = False,
    data_dir: Path | None = None,
) -> None:
    """List the webhooks of requests that have ended, the last one first: what was answered, and when the next try is.

    They are kept as long as their requests.

    For example:

        pipelet webhooks list --failed

    Parameters
    ----------
    failed
        Only those that were given up.
    limit
        How many at most.
    as_json
        Print one JSON list and nothing else.
    data_dir
        Where the database lies. [default: .pipelet]
    """
    state = DeliveryState.GIVEN_UP if failed else None
    reports = in_store(settings.load(data_dir=data_dir), lambda store: store.outbox.reports(state, limit))
    if as_json:
        print(json.dumps([_facts(report) for report in reports]))
        return
    for line in _table(reports):
        print(line)


@app.command
def replay(request_id: str, /, *, data_dir: Path | None = None) -> int:
    """Tell the receiver of a request's webhook once more, whatever came of it before.

    The service does so at once, or when it is started.

    For example:

        pipelet webhooks replay rn5r12q9pdu6yvb3nxty

    Parameters
    ----------
    request_id
        Whose request it is does not matter.
    data_dir
        Where the database lies. [default: .pipelet]
    """

    async def make_due(store: JobStore) -> str | None:
        """What is in the way."""
        if await store.outbox.replay(request_id, store.clock.now()):
            return None
        return await _why_not(store, request_id)

    if refusal := in_store(settings.load(data_dir=data_dir), make_due):
        print(f"pipelet: {refusal}", file=sys.stderr)
        return REFUSED
    print(f"Due: the webhook of {request_id} is delivered by the service that runs, or by the next that is started.")
    return 0


@app.command
def rotate(*, leaked: bool = False, data_dir: Path | None = None) -> None:
    """Sign webhooks with another key from now on.

    Receivers have found it among the published keys (/.well-known/jwks.json) for a day at least, and the one before
    stays there for two days more: nobody has to do anything.

    For example:

        pipelet webhooks rotate

    Parameters
    ----------
    leaked
        Replace all keys, because somebody else has one: the old ones are published no more. Receivers refuse webhooks
        until they look at the published keys again.
    data_dir
        Where the database lies. [default: .pipelet]
    """
    from pipelet.webhooks.sign import new_pair  # its library is not needed otherwise

    async def change(store: JobStore) -> None:
        now = store.clock.now()
        await store.outbox.change_keys(lambda keys: replaced(new_pair, now) if leaked else rotated(keys, new_pair, now))

    in_store(settings.load(data_dir=data_dir), change)
    print("Replaced: all keys are new." if leaked else "Rotated: the next key signs from now on.")


async def _why_not(store: JobStore, request_id: str) -> str:
    job = await store.get(request_id)
    if job is None:
        return f"There is no request with the id {request_id}. It may have expired."
    if job.webhook is None:
        return f"{request_id} was submitted without a webhook."
    if not job.state.is_final:
        return f"{request_id} has not ended: its webhook is delivered when it has."
    return f"The webhook of {request_id} is being delivered right now. Look at the list in a minute."


def _facts(report: DeliveryReport) -> dict[str, Any]:
    return {
        "request_id": report.job_id,
        "url": report.url,
        "state": report.state.value,
        "ended_at": _date(report.since),
        "next_try_at": _date(report.due_at),
        "tries": [
            {"at": _date(each.at), "seconds": round(each.seconds, 3), "code": each.code, "error": each.error}
            for each in report.tries
        ],
    }


def _table(reports: list[DeliveryReport]) -> list[str]:
    """Never cut to a terminal's width, so that ids can be copied."""
    rows = [("request_id", "state", "ended_at", "tries", "answers", "next_try_at", "url", "last_error")]
    for report in reports:
        last = report.tries[-1].error if report.tries else None
        answers = ",".join("-" if each.code is None else str(each.code) for each in report.tries) or "-"
        ended_at, next_try_at = _date(report.since) or "-", _date(report.due_at) or "-"
        number = str(len(report.tries))
        rows.append((report.job_id, report.state, ended_at, number, answers, next_try_at, report.url, last or "-"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _date(seconds: float | None) -> str | None:
    """ISO 8601, UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
