"""A new version is put in place while users work."""

import asyncio
import random
from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.kills import check_invariants
from tests.support.users import Report, Users


async def test_apis_and_workers_are_restarted_in_turn_and_no_user_notices(tmp_path: Path) -> None:
    """Asked to stop, an API completes what it has accepted, and a worker finishes what it generates: no response is
    lost, and no request needs another attempt."""
    report = Report()
    with Cluster(tmp_path, apis=2, workers=2) as cluster:
        key = cluster.apis[0].key
        users = Users([api.url for api in cluster.apis], lambda: key, random.Random(5), report)
        coming_and_going = asyncio.create_task(users.run())
        for api in cluster.apis:
            await _work_goes_on(users)
            assert await asyncio.to_thread(api.stop) == 0
            await asyncio.to_thread(api.start)
        for worker in cluster.workers:
            await _work_goes_on(users)
            await asyncio.to_thread(worker.restart)
        users.leaving.set()
        await coming_and_going
        await users.ask_again()
        await asyncio.to_thread(cluster.retire_workers)
        await check_invariants(users, cluster.database_url, cluster.files())

    assert [] == report.faults
    assert report.accepted == report.completed > 0
    assert (0, 0) == (report.lost_answers, report.retried)


async def _work_goes_on(users: Users) -> None:
    users.progressed.clear()
    await asyncio.wait_for(users.progressed.wait(), timeout=60)
