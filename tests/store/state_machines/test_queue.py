"""Any order of calls: a store against a small model of the queue."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, invariant, rule, run_state_machine_as_test

from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.jobs.job import TRANSITIONS, CancelResult, Job, JobState, Lease
from pipelet.domain.jobs.outcome import (
    MAX_ATTEMPTS,
    Cancelled,
    Failed,
    Failure,
    FailureKind,
    Interrupted,
    Outcome,
    Released,
)
from tests.store.state_machines.machine import StoreMachine, on_postgresql
from tests.support.jobs import APP, claim_request, make_job, make_key, success
from tests.support.servers.postgres import Server

OUTCOMES: list[Outcome] = [
    success("outputs/a.png"),
    Failed(Failure(FailureKind.INTERNAL, "broken")),
    Interrupted(Failure(FailureKind.WORKER_LOST, "lost")),
    Released("stopping"),
    Cancelled(()),
]


MAX_QUEUED, MAX_RUNNING = 5, 3


class QueueMachine(StoreMachine):
    """Knows of each job only its state, attempt and position, and which jobs belong to the one limited key; the store
    must agree after every step."""

    jobs: Bundle[Job] = Bundle("jobs")
    leases: Bundle[Lease] = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, tuple[JobState, int]] = {}
        self.order: dict[str, tuple[int, int]] = {}
        self.holders: dict[str, Lease] = {}
        self.limited: dict[str, int] = {}
        self.fronts = 0
        self.stopping: set[str] = set()
        self.is_paused = False
        self.key = make_key(max_queued_images=MAX_QUEUED, max_running_images=MAX_RUNNING)
        self.run(self.store.api_keys.add(self.key))

    @rule(target=jobs, priority=st.integers(-2, 2))
    def submit(self, priority: int) -> Job:
        return self._submit(priority)

    def _submit(self, priority: int) -> Job:
        job = self.run(self.store.jobs.submit(make_job(priority=priority)))
        self.known[job.id] = (JobState.QUEUED, 0)
        self.order[job.id] = (-priority, job.seq)
        return job

    @rule(target=jobs, priority=st.integers(-2, 2), batch_size=st.integers(1, MAX_RUNNING))
    def submit_with_limited_key(self, priority: int, batch_size: int) -> Job:
        job = make_job(priority=priority, key=self.key, batch_size=batch_size)
        is_full = self.images(JobState.QUEUED) + batch_size > MAX_QUEUED
        try:
            job = self.run(self.store.jobs.submit(job))
        except QuotaExceeded:
            assert is_full
            return self._submit(priority)
        assert not is_full
        self.known[job.id] = (JobState.QUEUED, 0)
        self.order[job.id] = (-priority, job.seq)
        self.limited[job.id] = batch_size
        return job

    @rule(job=jobs)
    def move_to_front(self, job: Job) -> None:
        waits = self.known[job.id][0] is JobState.QUEUED
        assert waits == self.run(self.store.queue.move_to_front(job.id, self.time))
        if waits:
            self.fronts += 1
            self.order[job.id] = (min(self.order[job_id][0] for job_id in self.waiting()), -self.fronts)

    @rule()
    def pause_or_resume(self) -> None:
        self.is_paused = not self.is_paused
        if self.is_paused:
            self.run(self.store.queue.pause(APP, self.time))
        else:
            assert self.run(self.store.queue.resume(APP))

    @rule(target=leases)
    def claim(self) -> Lease:
        lease = self.run(self.store.leases.claim(claim_request(now=self.time, seconds=10)))
        waiting = [] if self.is_paused else self.claimable()
        if lease is None:
            assert not waiting
            return Lease(job=make_job(), token="none", worker="w", expires_at=0)
        assert waiting[0] == lease.job.id
        self.move(lease.job.id, JobState.RUNNING, self.known[lease.job.id][1] + 1)
        self.holders[lease.job.id] = lease
        return lease

    @rule(job=jobs)
    def cancel(self, job: Job) -> None:
        response = self.run(self.store.jobs.cancel(job.id, self.time))
        state, attempt = self.known[job.id]
        if state is JobState.QUEUED:
            assert CancelResult.CANCELLED == response
            self.move(job.id, JobState.CANCELLED, attempt)
        elif state is JobState.CANCELLED:
            assert CancelResult.CANCELLED == response
        else:
            assert (
                CancelResult.ALREADY_RUNNING if state is JobState.RUNNING else CancelResult.ALREADY_FINISHED
            ) == response

    @rule(job=jobs)
    def cancel_also_running(self, job: Job) -> None:
        if self.known[job.id][0] is not JobState.RUNNING:
            return
        response = self.run(self.store.jobs.cancel(job.id, self.time, running=True))
        assert CancelResult.STOPPING == response
        self.stopping.add(job.id)

    @rule()
    def expire_overdue(self) -> None:
        overdue = [job_id for job_id in self.waiting() if job_id in self.stopping]
        assert len(overdue) == self.run(self.store.jobs.expire_overdue(self.time, 1000))
        for job_id in overdue:
            self.move(job_id, JobState.CANCELLED, self.known[job_id][1])

    @rule(lease=leases, outcome=st.sampled_from(OUTCOMES))
    def finish(self, lease: Lease, outcome: Outcome) -> None:
        ended = self.run(self.store.leases.finish(lease, outcome, self.time))
        assert ended == (self.holders.get(lease.job.id) is lease)
        if ended:
            self.end(lease.job.id, outcome)

    @rule(lease=consumes(leases), seconds=st.floats(0, 20))
    def time_passes(self, lease: Lease, seconds: float) -> None:
        self.time += seconds
        late = {held.job.id for held in self.holders.values() if held.expires_at <= self.time}
        ended = self.run(self.store.leases.requeue_expired(self.time))
        assert late == {job.id for job in ended}
        for job_id in late:
            self.end(job_id, OUTCOMES[2])

    def end(self, job_id: str, outcome: Outcome) -> None:
        attempt = self.known[job_id][1]
        del self.holders[job_id]
        match outcome:
            case Interrupted() if attempt < MAX_ATTEMPTS:
                self.move(job_id, JobState.QUEUED, attempt)
            case Released():
                self.move(job_id, JobState.QUEUED, attempt - 1)
            case Failed() | Interrupted():
                self.move(job_id, JobState.FAILED, attempt)
            case Cancelled():
                self.move(job_id, JobState.CANCELLED, attempt)
            case _:
                self.move(job_id, JobState.SUCCEEDED, attempt)

    def move(self, job_id: str, state: JobState, attempt: int) -> None:
        assert state in TRANSITIONS[self.known[job_id][0]]
        self.known[job_id] = (state, attempt)

    def waiting(self) -> list[str]:
        return sorted(
            (job_id for job_id, (state, _) in self.known.items() if state is JobState.QUEUED),
            key=self.order.__getitem__,
        )

    def claimable(self) -> list[str]:
        room = MAX_RUNNING - self.images(JobState.RUNNING)
        begins = [job_id for job_id in self.waiting() if job_id not in self.stopping]
        return [job_id for job_id in begins if self.limited.get(job_id, 0) <= room]

    def images(self, state: JobState) -> int:
        return sum(images for job_id, images in self.limited.items() if self.known[job_id][0] is state)

    @invariant()
    def the_store_agrees(self) -> None:
        found = {}
        for job_id, expected in self.known.items():
            job = self.run(self.store.jobs.get(job_id))
            assert job is not None
            assert expected == (job.state, job.attempt)
            found[job_id] = job
        for place, job_id in enumerate(self.waiting()):
            assert place == self.run(self.store.queue.work_ahead(found[job_id], [APP])).requests


PLAN = settings(max_examples=25, stateful_step_count=30, deadline=None)


def test_sqlite_agrees_with_the_model() -> None:
    """The store agrees with the model after any order of calls."""
    run_state_machine_as_test(QueueMachine, settings=PLAN)


def test_postgresql_agrees_with_the_model(postgres_server: Server) -> None:
    """The store agrees with the model after any order of calls."""
    with on_postgresql(QueueMachine, postgres_server) as machine:
        run_state_machine_as_test(machine, settings=PLAN)
