"""`pipelet webhooks`: who was told, telling them again, and the keys. Straight in the database, as `pipelet keys`."""

import json
from typing import Annotated, Any

from cyclopts import App, Parameter

from pipelet import settings
from pipelet.cli.flags import AsJson, DataDir
from pipelet.cli.in_store import Refused, in_store, request_of
from pipelet.cli.tables import date, print_table
from pipelet.domain.job import Job
from pipelet.domain.ports import JobStore
from pipelet.domain.webhook_keys import replaced, rotated
from pipelet.domain.webhooks import DeliveryReport, DeliveryState

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
    data_dir: DataDir = None,
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
    """
    state = DeliveryState.GIVEN_UP if failed else None
    reports = in_store(settings.load(data_dir=data_dir), lambda store: store.outbox.reports(state, limit))
    if as_json:
        print(json.dumps([_facts(report) for report in reports]))
        return
    print_table(_COLUMNS, map(_row, reports))


@app.command
def replay(request_id: str, /, *, data_dir: DataDir = None) -> None:
    """Tell the receiver of a request's webhook once more, whatever came of it before.

    The service does so at once, or when it is started.

    For example:

        pipelet webhooks replay rn5r12q9pdu6yvb3nxty

    Parameters
    ----------
    request_id
        Whose request it is does not matter.
    """

    async def make_due(store: JobStore) -> None:
        if not await store.outbox.replay(request_id, store.clock.now()):
            raise Refused(_why_not(await request_of(store, request_id)))

    in_store(settings.load(data_dir=data_dir), make_due)
    print(f"Due: the webhook of {request_id} is delivered by the service that runs, or by the next that is started.")


@app.command
def rotate(*, leaked: bool = False, data_dir: DataDir = None) -> None:
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
    """
    from pipelet.webhooks.sign import new_pair  # its library is not needed otherwise

    async def change(store: JobStore) -> None:
        now = store.clock.now()
        await store.outbox.change_keys(lambda keys: replaced(new_pair, now) if leaked else rotated(keys, new_pair, now))

    in_store(settings.load(data_dir=data_dir), change)
    print("Replaced: all keys are new." if leaked else "Rotated: the next key signs from now on.")


def _why_not(job: Job) -> str:
    if job.webhook is None:
        return f"{job.id} was submitted without a webhook."
    if not job.state.is_final:
        return f"{job.id} has not ended: its webhook is delivered when it has."
    return f"The webhook of {job.id} is being delivered right now. Look at the list in a minute."


def _facts(report: DeliveryReport) -> dict[str, Any]:
    return {
        "request_id": report.job_id,
        "url": report.url,
        "state": report.state.value,
        "ended_at": date(report.since),
        "next_try_at": date(report.due_at),
        "tries": [
            {"at": date(each.at), "seconds": round(each.seconds, 3), "code": each.code, "error": each.error}
            for each in report.tries
        ],
    }


_COLUMNS = ("request_id", "state", "ended_at", "tries", "answers", "next_try_at", "url", "last_error")


def _row(report: DeliveryReport) -> tuple[object, ...]:
    return (
        report.job_id,
        report.state,
        date(report.since),
        len(report.tries),
        ",".join("-" if each.code is None else str(each.code) for each in report.tries) or None,
        date(report.due_at),
        report.url,
        report.tries[-1].error if report.tries else None,
    )
