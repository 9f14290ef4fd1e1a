"""What workers do, and how much they say of it, while something they need is away."""

import asyncio

import structlog

from pipelet.worker.supervisor import Place, Supervisor
from tests.support.fork_server.children import COLD
from tests.support.waiting import until
from tests.worker.conftest import WorkerHarness


async def test_an_idle_worker_waits_while_its_database_refuses_writes(harness: WorkerHarness) -> None:
    """Its reports fail, and each loop says so once instead of as often as it can."""
    writer = harness.store._writer._connection
    async with harness.worker(lease_seconds=1.0):
        await harness.live(lambda worker: worker.ready)
        with structlog.testing.capture_logs() as logs:
            writer.execute("PRAGMA query_only = ON")
            await asyncio.sleep(1.0)  # thousands of lines, without a wait after each failure
            writer.execute("PRAGMA query_only = OFF")

    events = [(line["event"], line.get("loop")) for line in logs]
    assert ("loop.failed", "worker_report") in events
    assert len(set(events)) == len(events), events


async def test_a_process_that_cannot_be_started_is_tried_again(harness: WorkerHarness) -> None:
    """Where the machine has no room for one, the service continues, says why once, and can be stopped."""
    supervisor = Supervisor(
        [Place("cpu")],
        host="here",
        environment={COLD: "1", "TOO_LONG": "x" * 200_000},  # Linux takes half of that
        grace_seconds=1.0,
        store=harness.store,
    )
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(supervisor.run())
        await until(lambda: logs)
        await asyncio.sleep(0)
        assert not running.done()
        supervisor.stop()
        await asyncio.wait_for(running, timeout=10)

    assert ["worker.start_failed"] == [line["event"] for line in logs]
