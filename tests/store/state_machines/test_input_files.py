"""Any order of calls about input files, by late callers: none is missing, none is left."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, invariant, multiple, rule, run_state_machine_as_test

from pipelet.domain.errors import InputImagesExpired
from pipelet.domain.generation.image import InputImage
from pipelet.domain.ids import new_request_id, new_token
from pipelet.domain.jobs.job import Job
from tests.store.state_machines.machine import StoreMachine, on_postgresql
from tests.support.jobs import make_job
from tests.support.servers.postgres import Server

KEPT = 900.0
SLOWEST = 290.0
"""Seconds that a submit is under way: less than the margin."""


class ReferencesMachine(StoreMachine):
    """`files` are what the blob store holds. A key that a job needs must be among them as long as the job exists."""

    prepared: Bundle[Job] = Bundle("prepared")
    queued: Bundle[Job] = Bundle("queued")

    def __init__(self) -> None:
        super().__init__()
        self.files: set[str] = set()
        self.needed: dict[str, set[str]] = {}
        self.seen: list[str] = []

    @rule(
        target=prepared,
        count=st.integers(1, 3),
        age=st.sampled_from([0.0, KEPT - 301, KEPT - 299, KEPT]),
        store_input=st.booleans(),
    )
    def store_images(self, count: int, age: float, store_input: bool) -> Job:
        """Return the reservations of this age; the oldest ones were refused and released."""
        input_images = tuple(InputImage(key=f"inputs/{new_token()}.png", width=64, height=64) for _ in range(count))
        job = replace(make_job(input_images=input_images), store_input=store_input)
        keys = [each.key for each in input_images]
        self.run(self.store.files.reserve_input_files(job.id, keys, self.time - age + KEPT))
        self.files |= set(keys)
        if age == KEPT:
            self.discard(job)
        return job

    @rule(target=queued, job=consumes(prepared), late=st.floats(0, SLOWEST))
    def submit(self, job: Job, late: float) -> Job:
        """Maintenance queries while it is under way, and acts on the result later."""
        job = replace(job, submitted_at=self.time)
        self.clear_away()
        self.time += late
        self.look_for_what_is_left()
        try:
            self.run(self.store.jobs.submit(job))
        except InputImagesExpired:
            self.discard(job)
            return multiple()  # type: ignore[return-value]
        self.needed[job.id] = {each.key for each in job.spec.input_images}
        return job

    def discard(self, job: Job) -> None:
        """Refuse a submit as the API does: its files are deleted at once, not by maintenance."""
        keys = self.run(self.store.files.release_input_files(job.id, self.time))
        self.files -= set(keys)
        self.run(self.store.files.delete_rows(keys))

    @rule(target=queued, job=queued)
    def submit_again(self, job: Job) -> Job:
        """Retry a job with the same input files, whether the first one has ended, is queued, or is deleted."""
        again = job.clone_for_retry(new_request_id(), self.time)
        try:
            self.run(self.store.jobs.submit(again))
        except InputImagesExpired:
            assert job.id not in self.needed
            return multiple()  # type: ignore[return-value]
        self.needed[again.id] = {each.key for each in again.spec.input_images}
        return again

    @rule(job=queued)
    def end(self, job: Job) -> None:
        """End a job; if its input is not stored, it needs its files no more."""
        self.run(self.store.jobs.cancel(job.id, self.time))
        if not job.store_input:
            self.needed.pop(job.id, None)

    @rule(job=consumes(queued))
    def end_and_forget(self, job: Job) -> None:
        self.run(self.store.jobs.cancel(job.id, self.time))
        while self.run(self.store.jobs.delete_finished(self.time + 0.001, self.time, 10)):
            pass
        for job_id in list(self.needed):
            if self.run(self.store.jobs.get(job_id)) is None:
                del self.needed[job_id]

    @rule(seconds=st.sampled_from([10.0, 400.0, KEPT - 1, KEPT]))
    def pass_time(self, seconds: float) -> None:
        self.clear_away()
        self.time += seconds

    @rule()
    def look_for_what_is_left(self) -> None:
        self.seen = self.run(self.store.files.orphaned(self.time, 100))

    @rule()
    def clear_away(self) -> None:
        """Delete the orphans of an earlier query, whatever has happened since."""
        self.files -= set(self.seen)
        self.run(self.store.files.delete_rows(self.seen))
        self.seen = []

    @invariant()
    def nothing_is_missing(self) -> None:
        for keys in self.needed.values():
            assert keys <= self.files

    def teardown(self) -> None:
        self.clear_away()
        self.time += KEPT
        self.look_for_what_is_left()
        self.clear_away()
        self.nothing_is_missing()
        assert self.files == set().union(*self.needed.values())
        super().teardown()


PLAN = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_sqlite_keeps_needed_files() -> None:
    """The blob store holds every file that a job needs, and no others."""
    run_state_machine_as_test(ReferencesMachine, settings=PLAN)


def test_postgresql_keeps_needed_files(postgres_server: Server) -> None:
    """The blob store holds every file that a job needs, and no others."""
    with on_postgresql(ReferencesMachine, postgres_server) as machine:
        run_state_machine_as_test(machine, settings=settings(PLAN, max_examples=10))
