"""What every store guarantees for users with a limit of webhooks."""

import asyncio

from pipelet.domain.ids import new_token
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks.delivery import Webhook
from tests.store.conformance.calls import NOW
from tests.support.jobs import make_job

HOOK = Webhook("https://example.com/hook", "example.com:443", "http://127.0.0.1:8000")


async def end(store: Store, user: str = "ann", *, now: float = NOW) -> None:
    job = await store.jobs.submit(make_job(user=user, webhook=HOOK))
    await store.jobs.cancel(job.id, now)


async def due_times(store: Store) -> list[float]:
    found = [report.due_at for report in await store.outbox.list_deliveries(None, 100)]
    return sorted(at - NOW for at in found if at is not None)


async def test_webhooks_beyond_the_limit_are_delayed(store: Store, second_store: Store) -> None:
    """Ten seconds' worth is due at once, whichever process ends the requests; each further one has its own time."""
    await store.limits.change("ann", {"max_webhooks_per_minute": 30})

    await asyncio.gather(*(end((store, second_store)[k % 2]) for k in range(9)))
    await end(store, "bob")

    assert [0.0] * 6 + [2.0, 4.0, 6.0, 8.0] == await due_times(store)


async def test_a_pause_makes_room_for_webhooks(store: Store) -> None:
    """After a minute without any, ten seconds' worth is due at once again; a user with less than one in ten seconds has
    the first one at once."""
    await store.limits.change("ann", {"max_webhooks_per_minute": 3})
    for _ in range(2):
        await end(store)
    await end(store, now=NOW + 60)

    assert [0.0, 20.0, 60.0] == await due_times(store)


async def test_without_a_limit_no_webhook_is_delayed(store: Store) -> None:
    """Also where the user has other limits, or had this one before."""
    await store.limits.change("ann", {"max_webhooks_per_minute": 1, "max_priority": 3})
    await store.limits.change("ann", {"max_webhooks_per_minute": None})

    for _ in range(3):
        await end(store)

    assert [0.0] * 3 == await due_times(store)


async def test_a_delayed_webhook_is_claimed_in_its_time(store: Store) -> None:
    """It is not claimed before, and others are."""
    await store.limits.change("ann", {"max_webhooks_per_minute": 1})
    await end(store)
    await end(store)
    await end(store, "bob")

    async def claimed(now: float) -> str | None:
        delivery = await store.outbox.claim(new_token(), now, now + 600, busy_users=(), busy_endpoints=())
        return None if delivery is None else delivery.user

    assert {"ann", "bob"} == {await claimed(NOW), await claimed(NOW)}
    assert [None, None] == [await claimed(NOW), await claimed(NOW + 59)]
    assert "ann" == await claimed(NOW + 60)
