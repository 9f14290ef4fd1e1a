"""Any order of calls, by workers that are lost and clocks that jump: the ledger has what the requests have."""

from collections import defaultdict
from datetime import date

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, invariant, rule, run_state_machine_as_test

from pipelet.domain.accounts.usage import UsageFigures, day_number
from pipelet.domain.jobs.job import Job, Lease
from pipelet.domain.jobs.outcome import Cancelled, Failed, Failure, FailureKind, Interrupted, Outcome, Released
from pipelet.services.accounts.usage import FIELDS
from tests.store.state_machines.machine import StoreMachine, on_postgresql
from tests.support.jobs import APP, EDIT, claim_request, make_job, make_key, success
from tests.support.ledger import cost_of
from tests.support.servers.postgres import Server

DAY = 86_400.0
OUTCOMES: list[Outcome] = [
    success("a.png"),
    Failed(Failure(FailureKind.INTERNAL, "broken")),
    Interrupted(Failure(FailureKind.WORKER_LOST, "lost")),
    Released("stopping"),
    Cancelled(success("a.png").images),
    Cancelled(()),
]


class UsageMachine(StoreMachine):
    """Reads each request when it has ended, and adds up what it cost; the ledger must have the same sums."""

    jobs: Bundle[Job] = Bundle("jobs")
    leases: Bundle[Lease] = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.open: set[str] = set()
        self.sums: defaultdict[tuple[int, str | None, str | None, str | None], UsageFigures] = defaultdict(UsageFigures)
        self.newest = 0
        self.keys = [make_key(), make_key(max_queued_images=10_000)]
        for key in self.keys:
            self.run(self.store.api_keys.add(key))

    @rule(target=jobs, key=st.sampled_from([None, 0, 1]), app=st.sampled_from([APP, EDIT]), size=st.integers(1, 3))
    def submit(self, key: int | None, app: str, size: int) -> Job:
        owner = None if key is None else self.keys[key]
        job = make_job(app=app, key=owner, user=f"u{key}", width=64 * size, batch_size=size, submitted_at=self.time)
        self.open.add(job.id)
        return self.run(self.store.jobs.submit(job))

    @rule(target=leases)
    def claim(self) -> Lease:
        lease = self.run(self.store.leases.claim(claim_request(APP, EDIT, now=self.time)))
        return lease or Lease(job=make_job(), token="none", worker="w", expires_at=0)

    @rule(lease=leases, outcome=st.sampled_from(OUTCOMES), times=st.integers(1, 2))
    def finish(self, lease: Lease, outcome: Outcome, times: int) -> None:
        for _ in range(times):
            self.run(self.store.leases.finish(lease, outcome, self.time))
        self.count_ends()

    @rule(job=jobs, running=st.booleans())
    def cancel(self, job: Job, running: bool) -> None:
        self.run(self.store.jobs.cancel(job.id, self.time, running=running))
        self.count_ends()

    @rule(lease=consumes(leases))
    def lose_workers(self, lease: Lease) -> None:
        self.run(self.store.leases.requeue_of_worker(lease.worker, self.time))
        self.run(self.store.jobs.expire_overdue(self.time, 100))
        self.count_ends()

    @rule(seconds=st.sampled_from([0.5, 3600.0, DAY, 30 * DAY, -60.0, -DAY, -3 * DAY, -30 * DAY]))
    def move_the_clock(self, seconds: float) -> None:
        self.time = max(self.time + seconds, 0.0)

    @rule(limit=st.integers(1, 5))
    def add_up(self, limit: int) -> None:
        self.run(self.store.usage.add_up(limit))

    @rule()
    def delete_what_ended(self) -> None:
        self.run(self.store.jobs.delete_finished(1e12, self.time, 100))

    @rule(key=st.sampled_from([0, 1]))
    def revoke(self, key: int) -> None:
        self.run(self.store.api_keys.revoke(self.keys[key].id, self.time))

    def count_ends(self) -> None:
        """Read the requests that have ended since the last call; they ended at this moment."""
        for job_id in list(self.open):
            job = self.run(self.store.jobs.get(job_id))
            assert job is not None
            if job.state.is_final:
                self.open.discard(job_id)
                today = int((job.finished_at or 0.0) // DAY)
                if not today <= self.newest <= today + 7:
                    self.newest = today
                self.sums[self.newest, job.user, job.key_id or "", job.app] += cost_of(job)

    @invariant()
    def the_ledger_agrees(self) -> None:
        found = self.run(self.store.usage.sums(date.min, date.max, by=FIELDS, limit=10_000))
        rows = [(day_number(each.day or date.min), each.user, each.key_id, each.app) for each in found]
        ledger = {row: each.figures for row, each in zip(rows, found, strict=True)}
        assert self.sums == ledger


PLAN = settings(max_examples=12, stateful_step_count=25, deadline=None)


def test_sqlite_counts_what_requests_cost() -> None:
    """The ledger has the sums over all requests that ended, each once, after any order of calls."""
    run_state_machine_as_test(UsageMachine, settings=PLAN)


def test_postgresql_counts_what_requests_cost(postgres_server: Server) -> None:
    """The ledger has the sums over all requests that ended, each once, after any order of calls."""
    with on_postgresql(UsageMachine, postgres_server) as machine:
        run_state_machine_as_test(machine, settings=settings(PLAN, max_examples=4))
