"""The usage ledger, compared with the requests that it is about."""

from collections import defaultdict
from datetime import date

from pipelet.domain.accounts.usage import UsageFigures
from pipelet.domain.jobs.job import Job, JobState
from pipelet.domain.ports.store import Store

_DAY = 86_400.0


def cost_of(job: Job) -> UsageFigures:
    """Return what an ended request costs, from the request itself."""
    delivered = job.spec.batch_size if job.state is JobState.SUCCEEDED else len(job.images)
    seconds = job.inference_seconds or 0.0
    if job.state is JobState.CANCELLED and job.started_at is not None:
        seconds = min(max((job.finished_at or 0.0) - job.started_at, 0.0), _DAY)
    return UsageFigures(
        requests=1,
        images=delivered,
        pixels=delivered * job.spec.width * job.spec.height,
        device_microseconds=round(1e6 * seconds),
        failed=int(job.state is JobState.FAILED),
        cancelled=int(job.state is JobState.CANCELLED),
    )


async def ledger_faults(store: Store) -> list[str]:
    """Return in what the ledger differs from the requests, while all that ended are still there."""
    rebuilt: defaultdict[tuple[str | None, str | None, str | None], UsageFigures] = defaultdict(UsageFigures)
    for job in await store.jobs.finished_since(0.0, 10_000_000):
        rebuilt[job.user, job.key_id or "", job.app] += cost_of(job)
    sums = await store.usage.sums(date.min, date.max, by=("user", "key", "app"), limit=1_000_000)
    ledger = {(each.user, each.key_id, each.app): each.figures for each in sums}
    return [
        f"usage of {row}: {ledger.get(row)}, but the requests have {rebuilt.get(row)}"
        for row in sorted(rebuilt.keys() | ledger.keys(), key=str)
        if ledger.get(row) != rebuilt.get(row)
    ]
