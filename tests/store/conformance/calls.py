"""Calls that the tests of the stores share."""

from typing import Any

from pipelet.domain.jobs.job import Job, Lease
from pipelet.domain.jobs.outcome import Failure, FailureKind, Interrupted
from pipelet.domain.ports.store import Store
from tests.support.jobs import claim_request

NOW = 1_000_000.0
"""When requests of `make_job` were submitted."""
DAY = 86_400.0
LOST = Interrupted(Failure(FailureKind.WORKER_LOST, "lost"))


async def claimed(store: Store, **options: Any) -> Lease:
    lease = await store.leases.claim(claim_request(**options))
    assert lease is not None
    return lease


async def drain(store: Store, *apps: str) -> list[str]:
    """Claim every job that may start, in order."""
    ids = []
    while lease := await store.leases.claim(claim_request(*apps)):
        ids.append(lease.job.id)
    return ids


async def read(store: Store, job: Job) -> Job:
    found = await store.jobs.get(job.id)
    assert found is not None
    return found
