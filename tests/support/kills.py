"""Kills parts of a running service at random moments, and watches from outside that nothing is lost, doubled or wrong.

Everything but the backend is real: the service, its processes, its database, its files.
"""

import asyncio
import contextlib
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from tests.support import databases
from tests.support.ledger import ledger_faults
from tests.support.service import Service, kill_any
from tests.support.users import Report, Users
from tests.support.waiting import eventually, until

VICTIMS = ("engine", "worker", "api", "all")


async def kill_at_random(
    service: Service, *, kills: int, seed: int, tell: Callable[[Report], None] | None = None
) -> Report:
    """`service` has been started, with short leases. Ends when all kills are made and every accepted request ended."""
    rng, report = random.Random(seed), Report()
    users = Users([service.url], lambda: service.key, rng, report)
    coming_and_going = asyncio.create_task(users.run())
    database = service.settings.get("database_url", str(service.data_dir / "pipelet.sqlite"))
    for _ in range(kills):
        users.progressed.clear()
        await asyncio.wait_for(users.progressed.wait(), timeout=60)
        await asyncio.sleep(rng.uniform(0, 0.4))
        # A third hit would rightly fail a request.
        await until(lambda: _none_was_hit_twice(database), within=60)
        victim = rng.choice(VICTIMS)
        await asyncio.to_thread(_kill_one, service, victim)
        report.disturbances[victim] += 1
        if tell:
            tell(report)
    users.leaving.set()
    await coming_and_going
    # The worker of an API that was killed last may still be finishing; it ends by itself, and is no leftover.
    await asyncio.to_thread(eventually, lambda: len(service.worker_pids()) <= 1, within=60)
    await asyncio.to_thread(service.stop)
    await check_invariants(users, database, files_on_disk(service.data_dir / "files"))
    return report


async def _none_was_hit_twice(database: str) -> bool:
    waiting = "SELECT 1 FROM job WHERE state = 'queued' AND attempt >= 2 OR state = 'running' AND attempt >= 3 LIMIT 1"
    return not await look_up(database, waiting)


def _kill_one(service: Service, victim: str) -> None:
    match victim:
        case "engine":
            kill_any(service.engine_pids())
        case "worker":
            kill_any(service.worker_pids())
        case "api":
            service.kill_main()
            service.start()
        case "all":
            service.kill()
            service.start()


def files_on_disk(folder: Path) -> set[str]:
    """The keys of the files that are there."""
    return {str(path.relative_to(folder)) for path in (folder / "outputs").rglob("*") if path.is_file()}


async def check_invariants(users: Users, database: str, files: set[str]) -> None:
    """Afterwards: every request ended once, every file belongs to a result or is marked for deletion, and the ledger
    has what the requests cost.

    Args:
        database: a URL of PostgreSQL, or the file of an embedded one.
        files: the keys of all files that are there.
    """
    jobs = await look_up(database, "SELECT id, state, attempt FROM job")
    finished = await look_up(database, "SELECT job_id FROM job_log WHERE message LIKE 'Finished%'")
    ends = Counter(job_id for (job_id,) in finished)
    users.report.retried = sum(attempt > 1 for _, _, attempt in jobs)
    states = {request_id: (state, ends[request_id]) for request_id, state, _ in jobs}
    books = {200: ("succeeded", 1), 499: ("cancelled", 0), 500: ("failed", 0), 504: ("failed", 0)}
    for request_id, code in users.endings.items():
        if states.get(request_id) != books.get(code):
            users.fault(f"{request_id}: responded with {code}, in the database {states.get(request_id)}")
    for request_id in states.keys() - users.endings.keys():
        # Its response was lost with the API; it may wait, because the end came first.
        if states[request_id] not in (("succeeded", 1), ("queued", 0), ("running", 0)):
            users.fault(f"{request_id}: ended as {states[request_id]}")
    noted = {key for (key,) in await look_up(database, "SELECT key FROM file")}
    for key in files - noted:
        users.fault(f"{key}: a file that no request knows")
    names = {key.rpartition("/")[2] for key in files}
    for request_id, results in users.results.items():
        for missing in set(results) - names:
            users.fault(f"{request_id}: {missing} is missing")
    async with databases.open_database(database) as store:
        for fault in await ledger_faults(store):
            users.fault(fault)


async def look_up(database: str, query: str) -> list[tuple[Any, ...]]:
    """Past the service."""
    if not database.startswith("postgres"):
        with contextlib.closing(sqlite3.connect(database)) as embedded:
            return embedded.execute(query).fetchall()
    shared = await asyncpg.connect(database)
    try:
        return [tuple(row) for row in await shared.fetch(query)]
    finally:
        await shared.close()
