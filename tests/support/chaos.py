"""Disturbs a cluster by a seeded schedule, while users watch that nothing is lost, doubled, wrong or stuck."""

import asyncio
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import libfaketime

from tests.support.cluster import LEASE_SECONDS, Cluster
from tests.support.kills import check_invariants
from tests.support.service import kill_any
from tests.support.users import Report, Users
from tests.support.waiting import until

FAULTS = {
    "worker killed": 30,
    "engine killed": 20,
    "API killed": 20,
    "worker paused": 15,
    "database restarted": 4,
    "database killed": 4,
    "S3 killed": 4,
    "S3 paused": 3,
}
"""What happens, and how often."""

SEVEN_MINUTES_AHEAD = {
    "LD_PRELOAD": str(Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"),
    "FAKETIME": "+7m",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}
"""Variables of a process whose clock is wrong."""


async def inject_faults(
    cluster: Cluster, *, times: int, seed: int, tell: Callable[[Report], None] | None = None
) -> tuple[Report, float]:
    """Ends when every accepted request has. Returns the report, and how many seconds that took after the last blow."""
    rng, report = random.Random(seed), Report()
    urls = [api.url for api in cluster.apis]
    users = Users(urls, lambda: cluster.apis[0].key, rng, report, cancels=0.3)
    coming_and_going = asyncio.create_task(users.run())
    pauses: set[asyncio.Task[None]] = set()
    for kind in _schedule(times, rng):
        # Between two blows at least one request ends: few are then hit three times, and rightly fail.
        users.progressed.clear()
        await asyncio.wait_for(users.progressed.wait(), timeout=90)
        await asyncio.sleep(rng.uniform(0, 0.4))
        if kind == "worker paused":
            pause = asyncio.create_task(_pause(cluster, rng))
            pauses.add(pause)
            pause.add_done_callback(pauses.discard)
        else:
            await asyncio.to_thread(_inject, cluster, kind, rng)
        report.disturbances[kind] += 1
        if tell:
            tell(report)
    last_blow = time.monotonic()
    users.leaving.set()
    await asyncio.gather(coming_and_going, *pauses)
    calm_after = time.monotonic() - last_blow
    await _until_idle(cluster.database_url)
    await users.ask_again()
    await asyncio.to_thread(cluster.retire_workers)
    await check_invariants(users, cluster.database_url, cluster.files())
    return report, calm_after


def _schedule(times: int, rng: random.Random) -> list[str]:
    """Every kind once, however short it is, and then as often as `FAULTS` says."""
    return rng.sample(list(FAULTS), len(FAULTS)) + rng.choices(
        list(FAULTS), list(FAULTS.values()), k=times - len(FAULTS)
    )


async def _pause(cluster: Cluster, rng: random.Random) -> None:
    """Longer than a lease: when it continues, another worker has its job."""
    worker = rng.choice(cluster.workers)
    worker.send(signal.SIGSTOP)
    await asyncio.sleep(LEASE_SECONDS * rng.uniform(1.2, 2))
    worker.send(signal.SIGCONT)


def _inject(cluster: Cluster, kind: str, rng: random.Random) -> None:
    match kind:
        case "worker killed":
            rng.choice(cluster.workers).send(signal.SIGKILL)
        case "engine killed":
            kill_any(rng.choice(cluster.workers).engine_pids())
        case "API killed":
            api = rng.choice(cluster.apis)
            api.kill_main()
            api.start()
        case "database restarted":
            cluster.database.stop()
            cluster.database.start()
        case "database killed":
            cluster.database.kill()
            cluster.database.start()
        case "S3 killed":
            cluster.s3.kill()
            time.sleep(rng.uniform(0, 2))
            cluster.s3.start()
        case "S3 paused":
            with cluster.s3.paused():
                time.sleep(rng.uniform(1, 4))


async def _until_idle(database_url: str) -> None:
    """Requests whose response was lost are generated, too."""
    idle = "SELECT NOT EXISTS (SELECT FROM job WHERE state IN ('queued', 'running'))"
    connection = await asyncpg.connect(database_url)
    try:
        await until(lambda: connection.fetchval(idle), within=90)
    finally:
        await connection.close()
