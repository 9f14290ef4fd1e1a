"""Keys that the service makes for itself: the first API key, and those that sign webhooks."""

from pipelet.domain.accounts.api_keys import ApiKey, hash_secret, is_well_formed, new_secret
from pipelet.domain.errors import OperationalError
from pipelet.domain.ids import new_token
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks import signing_keys
from pipelet.settings import Settings
from pipelet.webhooks.signing import generate_keypair
from pipelet.wiring.data_dir import permissions_of
from pipelet.wiring.secret_files import read_or_create_secret


async def ensure_local_key(settings: Settings, store: Store) -> str | None:
    """Return the key of the user `local`. The first start makes it, and stores it in a file that only its owner reads.

    Return None on a shared database: each new machine and container would add a key that is never removed.
    """
    if settings.postgres_url:
        return None
    secret = read_or_create_secret(settings.local_key_file, new_secret(), permissions_of(settings))
    if not is_well_formed(secret):
        raise OperationalError(
            f"{settings.local_key_file} holds no key. Delete the file; the next start makes a new key."
        )
    if await store.api_keys.find(hash_secret(secret)) is None:
        now = store.clock.now()
        key = ApiKey(id=new_token()[:12], name="local", user="local", hash=hash_secret(secret), created_at=now)
        await store.api_keys.add(key)
    return secret


async def ensure_webhook_keys(store: Store) -> None:
    """Make the keys that sign webhooks. All processes that share a database use the keys that the first one made."""
    if not await store.outbox.keys():
        now = store.clock.now()
        await store.outbox.update_keys(lambda keys: signing_keys.initial_keys(keys, generate_keypair, now))
