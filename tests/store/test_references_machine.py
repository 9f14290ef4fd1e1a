"""Any order of calls about the pictures of edits, by callers that are late: none is missing, none is left."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, invariant, multiple, rule, run_state_machine_as_test

from pipelet.domain.errors import ReferencesGone
from pipelet.domain.ids import new_request_id, new_token
from pipelet.domain.image import Reference
from pipelet.domain.job import Job
from tests.jobs import make_job
from tests.postgres_server import Server
from tests.store.machine import StoreMachine, on_postgresql

KEPT = 900.0
SLOWEST = 290.0
"""Seconds that a submit is on its way: less than the margin."""


class ReferencesMachine(StoreMachine):
    """`files` are what the blob store holds. A key that a job needs must be among them as long as the job is there."""

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
        keeps_input=st.booleans(),
    )
    def store_pictures(self, count: int, age: float, keeps_input: bool) -> Job:
        """So long ago; what is as old as it gets was refused, and released."""
        references = tuple(Reference(key=f"inputs/{new_token()}.png", width=64, height=64) for _ in range(count))
        job = replace(make_job(references=references), keeps_input=keeps_input)
        keys = [each.key for each in references]
        self.run(self.store.note_references(job.id, keys, self.time - age + KEPT))
        self.files |= set(keys)
        if age == KEPT:
            self.discard(job)
        return job

    @rule(target=queued, job=consumes(prepared), late=st.floats(0, SLOWEST))
    def submit(self, job: Job, late: float) -> Job:
        """A housekeeper looks while it is on its way, and acts on that later."""
        job = replace(job, submitted_at=self.time)
        self.clear_away()
        self.time += late
        self.look_for_what_is_left()
        try:
            self.run(self.store.submit(job))
        except ReferencesGone:
            self.discard(job)
            return multiple()  # type: ignore[return-value]
        self.needed[job.id] = {each.key for each in job.spec.references}
        return job

    def discard(self, job: Job) -> None:
        """As the API does it: deleted at once, not by a housekeeper."""
        keys = self.run(self.store.release_references(job.id, self.time))
        self.files -= set(keys)
        self.run(self.store.forget_files(keys))

    @rule(target=queued, job=queued)
    def submit_again(self, job: Job) -> Job:
        """Both start from the same pictures, whether the first one has ended, waits, or is forgotten."""
        again = job.again(new_request_id(), self.time)
        try:
            self.run(self.store.submit(again))
        except ReferencesGone:
            assert job.id not in self.needed
            return multiple()  # type: ignore[return-value]
        self.needed[again.id] = {each.key for each in again.spec.references}
        return again

    @rule(job=queued)
    def end(self, job: Job) -> None:
        """Where its input is not to be kept, it needs its pictures no more."""
        self.run(self.store.cancel(job.id, self.time))
        if not job.keeps_input:
            self.needed.pop(job.id, None)

    @rule(job=consumes(queued))
    def end_and_forget(self, job: Job) -> None:
        self.run(self.store.cancel(job.id, self.time))
        while self.run(self.store.delete_finished(self.time + 0.001, self.time, 10)):
            pass
        for job_id in list(self.needed):
            if self.run(self.store.get(job_id)) is None:
                del self.needed[job_id]

    @rule(seconds=st.sampled_from([10.0, 400.0, KEPT - 1, KEPT]))
    def pass_time(self, seconds: float) -> None:
        self.clear_away()
        self.time += seconds

    @rule()
    def look_for_what_is_left(self) -> None:
        self.seen = self.run(self.store.unclaimed_files(self.time, 100))

    @rule()
    def clear_away(self) -> None:
        """What was seen a moment ago, whatever has happened to it since."""
        self.files -= set(self.seen)
        self.run(self.store.forget_files(self.seen))
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


def test_sqlite_keeps_what_is_needed() -> None:
    """And nothing else."""
    run_state_machine_as_test(ReferencesMachine, settings=PLAN)


def test_postgresql_keeps_what_is_needed(postgres_server: Server) -> None:
    """And nothing else."""
    run_state_machine_as_test(
        on_postgresql(ReferencesMachine, postgres_server), settings=settings(PLAN, max_examples=10)
    )
