"""Users of a service, each with a key, for tests that share the service."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.support.service import Service


@dataclass(frozen=True, slots=True)
class Account:
    user: str
    key: str
    key_id: str


def add_account(service: Service, *scopes: str, expires_at: float | None = None) -> Account:
    """A user whom no other test knows, with a key of these scopes, by default for generating.

    Args:
        expires_at: when the key ends, in seconds since 1970.
    """
    user = f"user-{secrets.token_hex(4)}"
    ends = None if expires_at is None else datetime.fromtimestamp(expires_at, UTC).isoformat()
    wanted = {"name": user, "user": user, "scopes": list(scopes or ["generate"]), "expires_at": ends}
    code, key = service.call("POST", "/api/v1/operate/keys", wanted)
    assert code == 201, key
    return Account(user, key["key"], key["id"])
