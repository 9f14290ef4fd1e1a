"""Keys that the service makes for itself: the first API key, and those that sign webhooks."""

from pipelet.domain.accounts.api_keys import ApiKey, hash_secret, is_well_formed, new_secret
from pipelet.domain.accounts.scopes import ALL_SCOPES
from pipelet.domain.errors import NotFound, OperationalError
from pipelet.domain.ids import new_token
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks import signing_keys
from pipelet.services.accounts.keys import get_key
from pipelet.settings import Settings
from pipelet.webhooks.signing import generate_keypair
from pipelet.wiring.data_dir import permissions_of
from pipelet.wiring.secret_files import read_or_create_secret

FIRST_KEY_COMMAND = "pipelet keys create NAME --admin"


async def ensure_local_key(settings: Settings, store: Store) -> str | None:
    """Return the key of the user `local`. The first start makes it, and stores it in a file that only its owner reads.

    It has every scope: who can read the file can read the database next to it.

    Return None on a shared database: each new machine and container would add a key that is never removed.
    """
    if settings.postgres_url:
        return None
    secret = read_or_create_secret(settings.local_key_file, new_secret(), permissions_of(settings))
    if not is_well_formed(secret):
        raise OperationalError(
            f"{settings.local_key_file} holds no key. Delete the file; the next start makes a new key."
        )
    key = await store.api_keys.find(hash_secret(secret))
    if key is None:
        now = store.clock.now()
        key = ApiKey(
            id=new_token()[:12],
            name="local",
            user="local",
            hash=hash_secret(secret),
            created_at=now,
            scopes=ALL_SCOPES,
        )
        await store.api_keys.add(key)
    elif not key.is_admin:  # a version without scopes made it
        await store.api_keys.update(key.id, {"scopes": ALL_SCOPES})
    return secret


async def find_login_key(settings: Settings, store: Store, key_id: str | None = None) -> ApiKey:
    """Return the key that `pipelet login` signs in with: the one with this id; by default that in the data directory,
    or else the oldest valid key with every scope.

    Raises:
        NotFound: there is none.
    """
    if key_id is not None:
        return await get_key(store, key_id)
    now = store.clock.now()
    if not settings.postgres_url and settings.local_key_file.exists():
        secret = read_or_create_secret(settings.local_key_file, new_secret(), permissions_of(settings))
        local = await store.api_keys.find(hash_secret(secret))
        if local is not None and local.invalid_reason(now) is None:
            return local
    for key in await store.api_keys.list_keys():
        if key.is_admin and key.invalid_reason(now) is None:
            return key
    raise NotFound(f"No valid key has every scope. Make one: {FIRST_KEY_COMMAND}")


async def ensure_webhook_keys(store: Store) -> None:
    """Make the keys that sign webhooks. All processes that share a database use the keys that the first one made."""
    if not await store.outbox.keys():
        now = store.clock.now()
        await store.outbox.update_keys(lambda keys: signing_keys.initial_keys(keys, generate_keypair, now))
