"""Counters and turns in the shared database: statements with many rows, and many transactions at once."""

import asyncio
import random
from dataclasses import replace

import asyncpg

from pipelet.domain.ports.store import Store
from pipelet.store.postgres import open_postgres
from tests.store.conformance.calls import NOW
from tests.support import databases
from tests.support.jobs import APP, claim_request, make_job
from tests.support.servers.postgres import Server

PRIORITIES = (0, 1)
INSERT = """
INSERT INTO job (id, app, owner, priority, spec, steps, megapixels, megapixel_steps, attention, image_count,
                 quota_limited, state, attempt, submitted_at, estimated_seconds, no_retry, store_input, turn)
SELECT 'many-' || $1::integer || '-' || number, $2, 'ann', (random() < 0.2)::integer, '{}', 1, 1, 1, 1, 1,
       random() < 0.1, 'queued', 0, 0, 0, false, true, floor(random() * 1000)
FROM generate_series(1, $3::integer) AS number
"""
MISCOUNTED = """
SELECT id, ahead, requests FROM (
  SELECT id, priority, turn, seq,
         row_number() OVER (PARTITION BY app ORDER BY priority DESC, turn, seq) - 1 AS ahead
  FROM job WHERE state = 'queued'
) AS waiting CROSS JOIN LATERAL work_before(ARRAY[$1::text], priority, turn, seq)
WHERE ahead <> requests
"""


async def test_statements_with_many_rows_keep_every_place(postgres_server: Server) -> None:
    """After inserts, cancels and moves of up to hundreds of rows in one statement, every place is exact."""
    url = await asyncio.to_thread(databases.new_postgres_url, postgres_server)
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT setseed(0.5)")
    for number, rows in enumerate((500, 40, 200)):
        await connection.execute(INSERT, number, APP, rows)
        assert [] == await connection.fetch(MISCOUNTED, APP)
        await connection.execute(
            "UPDATE job SET turn = floor(random() * 1000) WHERE state = 'queued' AND random() < 0.4"
        )
        await connection.execute("UPDATE job SET priority = 1 - priority WHERE state = 'queued' AND random() < 0.3")
        assert [] == await connection.fetch(MISCOUNTED, APP)
        await connection.execute(
            "UPDATE job SET state = 'cancelled', finished_at = 0, failure_kind = '', failure_message = '' "
            "WHERE state = 'queued' AND random() < 0.7"
        )
        assert [] == await connection.fetch(MISCOUNTED, APP)
    await connection.execute("DELETE FROM job WHERE state = 'queued' AND random() < 0.9")
    assert [] == await connection.fetch(MISCOUNTED, APP)
    await connection.execute("SELECT queue_run_rebuild()")
    assert [] == await connection.fetch(MISCOUNTED, APP)
    await connection.execute("DELETE FROM job")
    assert [] == await connection.fetch("SELECT * FROM queue_run")
    await connection.close()


async def test_the_short_search_finds_what_the_long_one_finds(postgres_server: Server) -> None:
    """While no request of a limited key waits, in the same order: over apps of several models, paused ones, excluded
    requests and deadlines that have passed."""
    url = await asyncio.to_thread(databases.new_postgres_url, postgres_server)
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT setseed(0.5)")
    apps = [f"app-{number}" for number in range(6)]
    for number, app in enumerate(apps):
        await connection.execute(INSERT, number, app, 30)
    await connection.execute(
        "UPDATE job SET quota_limited = false, model = 'model-' || floor(random() * 3), turn = floor(random() * 4), "
        "start_deadline = CASE WHEN random() < 0.5 THEN floor(random() * 4) END"
    )
    await connection.execute("INSERT INTO paused_app VALUES ('app-5', 0)")
    rng, found = random.Random(5), 0
    for _ in range(60):
        wanted = rng.sample(apps, rng.randint(1, 6))
        excluded = [f"many-{rng.randrange(6)}-{rng.randint(1, 30)}" for _ in range(rng.choice([0, 60]))]
        values = wanted, excluded, float(rng.randint(0, 4))
        short = await connection.fetch("SELECT * FROM next_jobs($1::text[], $2::text[], $3)", *values)
        long = await connection.fetch("SELECT * FROM next_jobs_with_limited($1::text[], $2::text[], $3)", *values)
        assert long == short
        found += len(short)
    assert found > 60
    await connection.close()


async def test_transactions_at_once_keep_every_place(postgres_server: Server) -> None:
    """Submits, claims, cancels, moves and changed priorities of many callers at once leave exact places, and
    no two of them wait for each other."""
    url = await asyncio.to_thread(databases.new_postgres_url, postgres_server)
    async with open_postgres(url, pool_size=8) as store:
        await asyncio.gather(*(_work(store, seed) for seed in range(8)))
        connection = await asyncpg.connect(url)
        assert [] == await connection.fetch(MISCOUNTED, APP)
        await store.queue.cancel_queued(await store.queue.list_queued(), NOW)
        assert [] == await connection.fetch("SELECT * FROM queue_run")
        await connection.close()


async def _work(store: Store, seed: int) -> None:
    rng, ids = random.Random(seed), [""]
    for _ in range(60):
        job = make_job(user=rng.choice(["ann", "bob"]), priority=rng.choice(PRIORITIES))
        ids.append((await store.jobs.submit(replace(job, model="demo", turn_cost=rng.randint(1, 1000)))).id)
        chosen = rng.choice(ids)
        match rng.randrange(5):
            case 0:
                await store.leases.claim(claim_request())
            case 1:
                await store.jobs.cancel(chosen, NOW)
            case 2:
                await store.queue.set_priority(chosen, rng.choice(PRIORITIES), NOW)
            case 3:
                await store.queue.move_to_front(chosen, NOW)
