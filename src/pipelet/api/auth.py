"""The Authorization header: `Bearer <key>`, or `Key <key>` and `Key <id>:<key>` as fal's clients send it."""

from collections.abc import Iterable

from starlette.types import Scope

from pipelet.api.middleware.access_log import note_key
from pipelet.domain.accounts.api_keys import ApiKey, is_well_formed
from pipelet.domain.errors import AuthenticationError, MalformedKey, MissingKey
from pipelet.services.accounts.authentication import Authenticator

_OTHER_HEADERS = {b"x-api-key": "X-API-Key", b"api-key": "api-key", b"x-fal-key": "X-Fal-Key"}
"""Headers in which other services expect a key."""


async def authenticate(authenticator: Authenticator, scope: Scope) -> ApiKey:
    """The key of a request.

    Raises:
        AuthenticationError: it is missing, malformed or invalid; the message says how to fix it.
    """
    key = await authenticator.authenticate(_secret_in(scope["headers"]))
    note_key(scope, key.id)
    return key


def is_cached(authenticator: Authenticator, scope: Scope) -> bool:
    """Whether the request has a key that was valid when it was last looked up."""
    try:
        return authenticator.is_cached(_secret_in(scope["headers"]))
    except AuthenticationError:
        return False


def _secret_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        others = [_OTHER_HEADERS[name] for name, _ in headers if name in _OTHER_HEADERS]
        ignored = f" `{others[0]}` is not read." if others else ""
        raise MissingKey(f"This route needs a key: send `Authorization: Bearer <key>`.{ignored}")
    if len(values) > 1:
        raise MalformedKey("The request has more than one Authorization header. Send exactly one.")
    scheme, _, secret = values[0].decode("latin-1").partition(" ")
    secret = secret.strip(" ")
    if scheme.lower() == "key":
        # fal's keys have an id before the secret, and its SDK sends no other. Keys of this service need none.
        secret = secret.rpartition(":")[2]
    elif is_well_formed(scheme):
        raise MalformedKey("The Authorization header has a key only: it must read `Bearer <key>` or `Key <key>`.")
    elif scheme.lower() != "bearer":
        raise MalformedKey("The Authorization header must read `Bearer <key>` or `Key <key>`.")
    if not is_well_formed(secret):
        raise MalformedKey("The Authorization header has no key of this service: keys start with `pk_`.")
    return secret
