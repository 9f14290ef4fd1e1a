"""Any order of calls about the pictures of edits, by callers that are late: none is missing, none is left."""

import asyncio
import tempfile
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from pipelet.domain.errors import ReferencesGone
from pipelet.domain.ids import new_request_id, new_token
from pipelet.domain.image import Reference
from pipelet.domain.job import Job
from pipelet.domain.ports import JobStore
from tests import databases
from tests.jobs import make_job
from tests.postgres_server import Server

KEPT = 900.0
SLOWEST = 290.0
"""Seconds that a submit is on its way: less than the margin."""


class ReferencesMachine(RuleBasedStateMachine):
    """`files` are what the blob store holds. A key that a job needs must be among them as long as the job is there."""

    prepared: Bundle[Job] = Bundle("prepared")
    queued: Bundle[Job] = Bundle("queued")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.exits = ExitStack()
        opened = self.open_store()
        self.store = self.loop.run_until_complete(opened.__aenter__())
        self.exits.callback(lambda: self.loop.run_until_complete(opened.__aexit__(None, None, None)))
        self.time = 1_000_000.0
        self.files: set[str] = set()
        self.needed: dict[str, set[str]] = {}
        self.seen: list[str] = []

    def open_store(self) -> AbstractAsyncContextManager[JobStore]:
        folder = self.exits.enter_context(tempfile.TemporaryDirectory())
        return databases.new_sqlite(Path(folder))()

    @rule(target=prepared, count=st.integers(1, 3), age=st.sampled_from([0.0, KEPT - 301, KEPT - 299, KEPT]))
    def store_pictures(self, count: int, age: float) -> Job:
        """So long ago; what is as old as it gets was refused, and released."""
        references = tuple(Reference(key=f"inputs/{new_token()}.png", width=64, height=64) for _ in range(count))
        job = make_job(references=references)
        keys = [each.key for each in references]
        self.loop.run_until_complete(self.store.note_references(job.id, keys, self.time - age + KEPT))
        self.files |= set(keys)
        if age == KEPT:
            self.loop.run_until_complete(self.store.release_references(job.id, self.time))
        return job

    @rule(target=queued, job=consumes(prepared), late=st.floats(0, SLOWEST))
    def submit(self, job: Job, late: float) -> Job:
        """A housekeeper looks while it is on its way, and acts on that later."""
        job = replace(job, submitted_at=self.time)
        self.clear_away()
        self.time += late
        self.look_for_what_is_left()
        try:
            self.loop.run_until_complete(self.store.submit(job))
        except ReferencesGone:
            self.loop.run_until_complete(self.store.release_references(job.id, self.time))
            return multiple()  # type: ignore[return-value]
        self.needed[job.id] = {each.key for each in job.spec.references}
        return job

    @rule(target=queued, job=queued)
    def submit_again(self, job: Job) -> Job:
        """The pictures go over: the first one has ended, and needs them no more."""
        self.loop.run_until_complete(self.store.cancel(job.id, self.time))
        again = job.again(new_request_id(), self.time)
        try:
            self.loop.run_until_complete(self.store.submit(again))
        except ReferencesGone:
            assert job.id not in self.needed
            return multiple()  # type: ignore[return-value]
        keys = {each.key for each in again.spec.references}
        for others in self.needed.values():
            others -= keys
        self.needed[again.id] = keys
        return again

    @rule(job=consumes(queued))
    def end_and_forget(self, job: Job) -> None:
        self.loop.run_until_complete(self.store.cancel(job.id, self.time))
        while self.loop.run_until_complete(self.store.delete_finished(self.time + 0.001, self.time, 10)):
            pass
        for job_id in list(self.needed):
            if self.loop.run_until_complete(self.store.get(job_id)) is None:
                del self.needed[job_id]

    @rule(seconds=st.sampled_from([10.0, 400.0, KEPT - 1, KEPT]))
    def pass_time(self, seconds: float) -> None:
        self.clear_away()
        self.time += seconds

    @rule()
    def look_for_what_is_left(self) -> None:
        self.seen = self.loop.run_until_complete(self.store.unclaimed_files(self.time, 100))

    @rule()
    def clear_away(self) -> None:
        """What was seen a moment ago, whatever has happened to it since."""
        self.files -= set(self.seen)
        self.loop.run_until_complete(self.store.forget_files(self.seen))
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
        self.exits.close()
        self.loop.close()


PLAN = settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_sqlite_keeps_what_is_needed() -> None:
    """And nothing else."""
    run_state_machine_as_test(ReferencesMachine, settings=PLAN)


def test_postgresql_keeps_what_is_needed(postgres_server: Server) -> None:
    """And nothing else."""

    class Machine(ReferencesMachine):
        def open_store(self) -> AbstractAsyncContextManager[JobStore]:
            return databases.new_postgres(postgres_server)()

    run_state_machine_as_test(Machine, settings=settings(PLAN, max_examples=10))
