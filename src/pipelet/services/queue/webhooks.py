"""Webhook administration: deliver one again, and change the keys that sign them."""

from pipelet.domain.accounts.audit import Action, Actor
from pipelet.domain.errors import NotPossible
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks import signing_keys
from pipelet.services.accounts import audit
from pipelet.services.queue.admin import get_job


async def replay(store: Store, actor: Actor, request_id: str) -> None:
    """Deliver the webhook of a request again, whether it was delivered before or not. A running service sends it at
    once.

    Raises:
        NotFound, NotPossible: there is no such request, or nothing to deliver now.
    """
    if not await store.outbox.replay(request_id, store.clock.now()):
        raise NotPossible(_not_replayable_reason(await get_job(store, request_id)))
    await audit.record(store, actor, Action.REPLAY_WEBHOOK, request_id)


async def rotate_keys(
    store: Store, actor: Actor, generate_keypair: signing_keys.GenerateKeypair, *, leaked: bool
) -> None:
    """Sign with the next key from now on; with `leaked`, replace all keys.

    Raises:
        RotationTooSoon: receivers may not know the next key yet.
    """
    now = store.clock.now()
    await store.outbox.update_keys(
        lambda keys: (
            signing_keys.replace_all(generate_keypair, now)
            if leaked
            else signing_keys.rotate(keys, generate_keypair, now)
        )
    )
    await audit.record(store, actor, Action.ROTATE_WEBHOOK_KEYS, "all" if leaked else "next")


def _not_replayable_reason(job: Job) -> str:
    if job.webhook is None:
        return f"{job.id} was submitted without a webhook."
    if not job.state.is_final:
        return f"{job.id} has not ended: its webhook is delivered at its end."
    return f"The webhook of {job.id} is being delivered now. List the deliveries again in a minute."
