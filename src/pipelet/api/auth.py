"""The Authorization header: `Bearer <key>`, or `Key <key>` and `Key <id>:<key>` as fal's clients send it."""

from starlette.types import Scope

from pipelet.api.dependencies import Dependencies
from pipelet.api.middleware.access_log import note_key
from pipelet.domain.accounts.api_keys import KEY_CACHE_SECONDS, ApiKey, hash_secret, is_well_formed
from pipelet.domain.accounts.scopes import Scope as KeyScope
from pipelet.domain.errors import AuthenticationError, RefusedKey
from pipelet.services.accounts.access import Caller

_OTHER_HEADERS = {b"x-api-key": "X-API-Key", b"api-key": "api-key", b"x-fal-key": "X-Fal-Key"}
"""Headers in which other services expect a key."""


async def authenticate(deps: Dependencies, scope: Scope) -> ApiKey:
    """The key of a request. Cookies do not count: see `api/v1/routing.py`.

    Raises:
        AuthenticationError: it is missing, malformed or invalid; the message says how to fix it.
    """
    return await authenticate_hash(deps, scope, key_hash_of(scope))


async def authenticate_to_generate(deps: Dependencies, scope: Scope) -> ApiKey:
    """The key of a request, which may make requests, and see and cancel those of its user. Raises as `authenticate`.

    Raises:
        MissingScope: it may not.
    """
    key = await authenticate(deps, scope)
    Caller(key).require(KeyScope.GENERATE)
    return key


async def authenticate_hash(deps: Dependencies, scope: Scope, key_hash: bytes) -> ApiKey:
    """The key with this hash; see `authenticate`.

    Raises:
        RefusedKey: it is unknown, was revoked or has expired.
    """
    try:
        key = await deps.authenticator.find(key_hash)
    except RefusedKey as error:
        deps.refusals.note(scope, error.kind)
        raise
    note_key(scope, key.id)
    return key


async def recheck(deps: Dependencies, key: ApiKey, *, since: float) -> ApiKey:
    """Return the key of a request after its body was read. If that took long, check that it is still valid.

    Args:
        since: when it was found first.

    Raises:
        RefusedKey: it is not valid any more.
    """
    return key if deps.clock.now() - since < KEY_CACHE_SECONDS else await deps.authenticator.find(key.hash)


def has_key(scope: Scope) -> bool:
    """Whether a request has an Authorization header that is for this service: a proxy in front may take `Basic`."""
    values = (value for name, value in scope["headers"] if name == b"authorization")
    return any(value[:6].lower() != b"basic " for value in values)


def key_hash_of(scope: Scope) -> bytes:
    """The hash of the secret in a request's header. Raises as `authenticate`, but for an invalid key."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        others = [_OTHER_HEADERS[name] for name, _ in headers if name in _OTHER_HEADERS]
        ignored = f" `{others[0]}` is not read." if others else ""
        raise AuthenticationError(f"This route needs a key: send `Authorization: Bearer <key>`.{ignored}")
    if len(values) > 1:
        raise AuthenticationError("The request has more than one Authorization header. Send exactly one.")
    scheme, _, secret = values[0].decode("latin-1").partition(" ")
    secret = secret.strip(" ")
    if scheme.lower() == "key":
        # fal's keys have an id before the secret, and its SDK sends no other. Keys of this service need none.
        secret = secret.rpartition(":")[2]
    elif is_well_formed(scheme):
        raise AuthenticationError(
            "The Authorization header has a key only: it must read `Bearer <key>` or `Key <key>`."
        )
    elif scheme.lower() != "bearer":
        raise AuthenticationError("The Authorization header must read `Bearer <key>` or `Key <key>`.")
    if not is_well_formed(secret):
        raise AuthenticationError("The Authorization header has no key of this service: keys start with `pipelet_`.")
    return hash_secret(secret)
