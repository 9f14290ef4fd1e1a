"""`pipelet webhooks`: deliveries, their replay, and the signing keys."""

import json
from typing import Any

from cyclopts import App
from cyclopts.types import PositiveInt

from pipelet import settings
from pipelet.cli.database import operator
from pipelet.cli.options import AsJson, DataDir, RequestId
from pipelet.cli.output import date, print_table
from pipelet.domain.webhooks.delivery import DeliveryReport, DeliveryState
from pipelet.services.queue import webhooks
from pipelet.wiring.store import open_store

app = App(name="webhooks", help="List webhook deliveries, replay them, and rotate the signing keys.")


@app.command(name="list")
async def list_deliveries(
    *,
    failed: bool = False,
    limit: PositiveInt = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List webhook deliveries, newest first, with the responses so far and the time of the next attempt.

    They are kept as long as their requests.

    For example:

        pipelet webhooks list --failed

    Parameters
    ----------
    failed
        Only deliveries that have failed for good.
    limit
        Maximum number of deliveries.
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        reports = await store.outbox.list_deliveries(DeliveryState.FAILED if failed else None, limit)
    if as_json:
        print(json.dumps([_facts(report) for report in reports]))
        return
    print_table(_COLUMNS, map(_row, reports))


@app.command
async def replay(request_id: RequestId, /, *, data_dir: DataDir = None) -> None:
    """Deliver the webhook of a request again, whether it was delivered before or not.

    A running service sends it at once; otherwise the next service does.

    For example:

        pipelet webhooks replay rn5r12q9pdu6yvb3nxty
    """
    async with open_store(settings.load(data_dir=data_dir)) as store:
        await webhooks.replay(store, operator(), request_id)
    print(f"Due: the running service, or the next that starts, delivers the webhook of {request_id}.")


@app.command
async def rotate(*, leaked: bool = False, data_dir: DataDir = None) -> None:
    """Sign webhooks with the next key from now on.

    The next key has been published (/.well-known/jwks.json) for at least a day, and the previous key stays published
    for two more days, so receivers need no change.

    For example:

        pipelet webhooks rotate

    Parameters
    ----------
    leaked
        Replace all keys, because one has leaked: the old ones are no longer published. Receivers reject webhooks until
        they fetch the published keys again.
    """
    from pipelet.webhooks.signing import generate_keypair  # the other commands do not need its library

    async with open_store(settings.load(data_dir=data_dir)) as store:
        await webhooks.rotate_keys(store, operator(), generate_keypair, leaked=leaked)
    print("Replaced: all keys are new." if leaked else "Rotated: the next key signs webhooks from now on.")


def _facts(report: DeliveryReport) -> dict[str, Any]:
    return {
        "request_id": report.job_id,
        "url": report.url,
        "state": report.state.value,
        "ended_at": date(report.since),
        "next_attempt_at": date(report.due_at),
        "attempts": [
            {"at": date(each.at), "seconds": round(each.seconds, 3), "code": each.code, "error": each.error}
            for each in report.attempts
        ],
    }


_COLUMNS = ("request_id", "state", "ended_at", "attempts", "codes", "next_attempt_at", "url", "last_error")


def _row(report: DeliveryReport) -> tuple[object, ...]:
    return (
        report.job_id,
        report.state,
        date(report.since),
        len(report.attempts),
        ",".join("-" if each.code is None else str(each.code) for each in report.attempts) or None,
        date(report.due_at),
        report.url,
        report.attempts[-1].error if report.attempts else None,
    )
