"""A fleet on a cluster of three machines, two at the end, in front of it a service without workers of its own."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from tests.fleet.cluster import Fleet, Machines, three_machines
from tests.support.databases import new_postgres_url
from tests.support.servers.postgres import Server
from tests.support.service import Service
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    with three_machines() as found:
        yield found


@pytest.fixture(scope="module")
def service(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"database_url": new_postgres_url(postgres_server), "lease_seconds": "2"}
    with Service(tmp_path_factory.mktemp("fleet"), arguments=["--workers", "0"], settings=settings) as running:
        yield running


def read(service: Service, query: str, *values: Any) -> list[Any]:
    """From the service's database, past the service."""

    async def fetch() -> list[Any]:
        connection = await asyncpg.connect(service.settings["database_url"])
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def workers(service: Service) -> set[str]:
    """Names of those that live and have loaded their model."""
    live = "SELECT name FROM worker WHERE ready AND expires_at > extract(epoch FROM clock_timestamp())"
    return {row["name"] for row in read(service, live)}


def wait_for_workers(service: Service, fleet: Fleet, number: int, *, other_than: frozenset[str] = frozenset()) -> None:
    """Until there are `number`, one of them at least not among `other_than`."""

    def there() -> bool:
        names = workers(service)
        return len(names) == number and not names <= other_than

    eventually(there, within=60, why=f"{number} workers\n{fleet.lines()}")


def wait_for_running(service: Service, number: int) -> None:
    running = "SELECT id FROM job WHERE state = 'running'"
    eventually(lambda: len(read(service, running)) == number, within=30, why=f"{number} requests run")


def attempts(service: Service, requests: list[str]) -> Counter[int]:
    """How many requests needed how many attempts, once all have ended. All must have ended once, and well."""
    for request_id in requests:
        service.wait(request_id)
    rows = read(
        service,
        """SELECT id, state, attempt, (
             SELECT count(*) FROM job_log WHERE job_id = job.id AND message LIKE 'Finished%'
           ) AS ends FROM job WHERE id = ANY($1::text[])""",
        requests,
    )
    ended = {(row["id"], row["state"], row["ends"]) for row in rows}
    assert {(request_id, "succeeded", 1) for request_id in requests} == ended
    return Counter(row["attempt"] for row in rows)


def test_workers_follow_the_work(machines: Machines, service: Service) -> None:
    """They come when much waits, and go when little is left, although they generate: what they generate is finished
    first."""
    with Fleet(
        machines, service, "--min", "1", "--max", "3", "--target-drain-seconds", "6", "--scale-down-delay-seconds", "1"
    ) as fleet:
        wait_for_workers(service, fleet, 1)
        service.wait(service.submit("the first tells how long it takes sleep=0.3"))
        requests = [service.submit(f"{number} sleep=0.3") for number in range(8)]
        eventually(lambda: len(workers(service)) > 1, within=60, why=f"more workers\n{fleet.lines()}")

        assert Counter({1: 8}) == attempts(service, requests)
        wait_for_workers(service, fleet, 1)
        came, left = (
            [line["requests"] for line in fleet.lines(event)]
            for event in ("fleet.replica_started", "fleet.replica_stopped")
        )
        assert came[0] == 0 < came[1]
        assert left[0] > 0
    assert 0 == fleet.process.returncode
    assert set() == workers(service)


def test_a_machine_that_dies_loses_no_request(machines: Machines, service: Service) -> None:
    """What it generated is generated on another one, and its worker gets a successor there."""
    with Fleet(machines, service, "--min", "2", "--max", "2") as fleet:
        wait_for_workers(service, fleet, 2)
        before = frozenset(workers(service))
        requests = [service.submit(f"{number} sleep=0.3") for number in range(4)]
        wait_for_running(service, 2)
        machines.cut_power()

        assert Counter({1: 3, 2: 1}) == attempts(service, requests)
        wait_for_workers(service, fleet, 2, other_than=before)


def test_a_fleet_that_is_killed_is_taken_over(machines: Machines, service: Service) -> None:
    """Its workers continue. The next fleet adds none; a worker that it stops finishes what it generates."""
    with Fleet(machines, service, "--min", "2", "--max", "2") as first:
        wait_for_workers(service, first, 2)
        before = workers(service)
        with contextlib.ExitStack() as exits:
            with machines.paused():
                requests = [service.submit(f"{number}") for number in range(2)]
                wait_for_running(service, 2)
                first.kill()
                second = exits.enter_context(Fleet(machines, service, "--max", "1"))
                eventually(
                    lambda: second.lines("fleet.replica_stopped"), within=60, why="one is stopped, and generates"
                )
            wait_for_workers(service, second, 1)

            assert workers(service) < before
            assert Counter({1: 2}) == attempts(service, requests)
            plan_scaling = [(line["event"], line["requests"]) for line in second.lines()]
            assert [("fleet.replica_stopped", 2)] == plan_scaling  # and none was started


def test_workers_with_other_settings_are_replaced(machines: Machines, service: Service) -> None:
    """A fleet that takes over sends away whom it would have placed otherwise, such as one that waits for a rare GPU."""
    with Fleet(machines, service, "--max", "1", "--resource", "rare=1") as first:
        eventually(lambda: first.lines("fleet.replica_started"), within=60)
        first.kill()
    with Fleet(machines, service, "--max", "1") as second:
        wait_for_workers(service, second, 1)
        gone = [line["state"] for line in second.lines("fleet.replica_stopped")]
    assert ["starting"] == gone
    assert 0 == second.process.returncode
