"""Any order of calls by several users: a store against a queue in memory in which users take turns."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, rule, run_state_machine_as_test

from pipelet.domain.capacity.cost_model import Work
from pipelet.domain.jobs.job import Job, Lease
from pipelet.domain.jobs.outcome import Failure, FailureKind, Interrupted, Outcome, Released
from pipelet.domain.jobs.queue_order import Arrival, QueueOrder
from tests.store.state_machines.machine import StoreMachine, on_postgresql
from tests.store.turns.fair_queue import Entry, FairQueue
from tests.support.jobs import claim_request, make_job, success
from tests.support.servers.postgres import Server

MODELS = {"draw": "large", "edit": "large", "sketch": "small"}
"""By app."""
USERS = ("ann", "bob", "cem", "dan")
COSTS = (0, 1, 63, 64, 1_000, 1_000_000)
PRIORITIES = st.integers(-1, 1)
OUTCOMES: list[Outcome] = [
    success("outputs/a.png"),
    Interrupted(Failure(FailureKind.WORKER_LOST, "lost")),
    Released("stopping"),
]


class FairTurnsMachine(StoreMachine):
    """The store and the queue in memory must agree on every place, and on every claim."""

    jobs: Bundle[Job] = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.queue = FairQueue()
        self.leases: dict[str, Lease] = {}
        self.works: dict[str, Work] = {}

    @rule(
        target=jobs,
        user=st.sampled_from(USERS),
        app=st.sampled_from(sorted(MODELS)),
        priority=PRIORITIES,
        cost=st.sampled_from(COSTS),
        width=st.sampled_from([64, 512]),
    )
    def submit(self, user: str, app: str, priority: int, cost: int, width: int) -> Job:
        return self._submit(user, app, priority, cost, width)

    def _submit(self, user: str, app: str, priority: int, cost: int, width: int) -> Job:
        model = MODELS[app]
        job = replace(
            make_job(user=user, app=app, priority=priority, width=width, submitted_at=self.time),
            model=model,
            turn_cost=cost,
        )
        apps = self.apps_of(model)
        arrival = Arrival(app=app, model=model, priority=priority, user=user)
        told = self.run(self.store.queue.work_ahead_of_new(arrival, apps))
        self.works[job.id] = job.work
        job = self.run(self.store.jobs.submit(job))
        entry = self.queue.submit(job.id, user, app=app, model=model, priority=priority, cost=cost)
        entry.seq = job.seq
        assert entry.turn == job.turn
        assert [each.id for each in self.queue.in_order(apps)].index(job.id) == told.requests
        return job

    @rule(target=jobs, user=st.sampled_from(USERS), count=st.integers(2, 40), cost=st.sampled_from(COSTS))
    def submit_many(self, user: str, count: int, cost: int) -> Job:
        """Fill runs, so that they are cut."""
        return [self._submit(user, "draw", 0, cost, 64) for _ in range(count)][-1]

    @rule(apps=st.sampled_from([("draw",), ("draw", "edit"), ("sketch",), ("draw", "edit", "sketch")]))
    def claim(self, apps: tuple[str, ...]) -> None:
        lease = self.run(self.store.leases.claim(claim_request(*apps, now=self.time)))
        expected = self.next_of(apps)
        assert (expected and expected.id) == (lease and lease.job.id)
        if lease is not None:
            self.queue.start(lease.job.id)
            self.leases[lease.job.id] = lease

    def next_of(self, apps: tuple[str, ...]) -> Entry | None:
        """Return the request that starts next: of each model the first by turn, of these the one that arrived first."""
        heads: dict[str, Entry] = {}
        for entry in self.queue.in_order(apps):
            heads.setdefault(entry.model, entry)
        return min(heads.values(), key=lambda entry: (-entry.priority, entry.seq), default=None)

    @rule(count=st.integers(1, 30))
    def claim_many(self, count: int) -> None:
        for _ in range(count):
            self.claim(("draw", "edit"))

    @rule(job=jobs, outcome=st.sampled_from(OUTCOMES))
    def finish(self, job: Job, outcome: Outcome) -> None:
        lease = self.leases.pop(job.id, None)
        if lease is None:
            return
        assert self.run(self.store.leases.finish(lease, outcome, self.time))
        ended = self.run(self.store.jobs.get(job.id))
        assert ended is not None
        if ended.state.is_final:
            del self.queue.running[job.id]
        else:
            self.queue.requeue(job.id)

    @rule(job=jobs)
    def cancel(self, job: Job) -> None:
        self.run(self.store.jobs.cancel(job.id, self.time))
        if job.id in self.queue.waiting:
            self.queue.leave(job.id)

    @rule(user=st.sampled_from(USERS), keep=st.integers(0, 3))
    def cancel_of_user(self, user: str, keep: int) -> None:
        """Cancel the requests of a user, except for some of the first."""
        ids = self.run(self.store.queue.list_queued(user=user))[keep:]
        assert len(ids) == self.run(self.store.queue.cancel_queued(ids, self.time))
        for job_id in ids:
            self.queue.leave(job_id)

    @rule(job=jobs)
    def move_to_front(self, job: Job) -> None:
        waits = job.id in self.queue.waiting
        assert waits == self.run(self.store.queue.move_to_front(job.id, self.time))
        if waits:
            self.queue.move_to_front(job.id)

    @rule(job=jobs, priority=PRIORITIES)
    def set_priority(self, job: Job, priority: int) -> None:
        waits = job.id in self.queue.waiting
        assert waits == self.run(self.store.queue.set_priority(job.id, priority, self.time))
        if waits:
            self.queue.set_priority(job.id, priority)

    @rule(order=st.sampled_from([QueueOrder.FAIR, QueueOrder.FAIR, QueueOrder.FIFO]))
    def set_order(self, order: QueueOrder) -> None:
        self.run(self.store.queue.set_order(order))
        self.queue.set_order(order)
        assert order == self.run(self.store.queue.order())

    @rule()
    def delete_idle_accounts(self) -> None:
        account = self.run(self.store.queue.delete_idle_accounts(None, 3))
        while account is not None:
            account = self.run(self.store.queue.delete_idle_accounts(account, 3))
        self.queue.delete_idle_accounts()

    @invariant()
    def every_place_agrees(self) -> None:
        """Places one by one and in one query, in number and in work."""
        waiting = self.run(self.store.jobs.get_many(list(self.queue.waiting)))
        for model in set(MODELS.values()):
            apps, before = self.apps_of(model), Work()
            of_model = [waiting[entry.id] for entry in self.queue.in_order(apps)]
            together = self.run(self.store.queue.work_ahead_many(of_model, apps))
            assert together.keys() == {job.id for job in of_model}
            for place, job in enumerate(of_model):
                assert job.turn == self.queue.waiting[job.id].turn
                assert place == together[job.id].requests
                assert before.amounts() == pytest.approx(together[job.id].work.amounts(), abs=1e-9)
                before += self.works[job.id]
            for place in range(0, len(of_model), 1 + len(of_model) // 8):
                alone = self.run(self.store.queue.work_ahead(of_model[place], apps))
                assert place == alone.requests
                assert alone.work.amounts() == pytest.approx(together[of_model[place].id].work.amounts(), abs=1e-9)

    def apps_of(self, model: str) -> tuple[str, ...]:
        return tuple(app for app, its_model in MODELS.items() if its_model == model)


PLAN = settings(max_examples=15, stateful_step_count=25, deadline=None)


def test_sqlite_agrees_with_the_queue_in_memory() -> None:
    """After any order of calls, turns, places and claims are those of the rules."""
    run_state_machine_as_test(FairTurnsMachine, settings=PLAN)


def test_postgresql_agrees_with_the_queue_in_memory(postgres_server: Server) -> None:
    """After any order of calls, turns, places and claims are those of the rules."""
    with on_postgresql(FairTurnsMachine, postgres_server) as machine:
        run_state_machine_as_test(machine, settings=settings(PLAN, max_examples=6))
