"""The audit trail: who did what to what, and what it changed. Values are ids and numbers, never texts of users."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from pipelet.domain.accounts.api_keys import ApiKey

Values = Mapping[str, str | int | float | bool | None]


class Action(StrEnum):
    """Administrative acts."""

    CREATE_KEY = "keys.create"
    CHANGE_KEY = "keys.change"
    ROTATE_KEY = "keys.rotate"
    REVOKE_KEY = "keys.revoke"
    CHANGE_LIMITS = "limits.change"
    CREATE_LOGIN_CODE = "login_codes.create"
    PAUSE_APP = "apps.pause"
    RESUME_APP = "apps.resume"
    DRAIN_WORKER = "workers.drain"
    UNDRAIN_WORKER = "workers.undrain"
    MOVE_TO_FRONT = "requests.front"
    CHANGE_PRIORITY = "requests.priority"
    CANCEL_REQUESTS = "requests.cancel"
    DELETE_REQUESTS = "requests.delete"
    KEEP_REQUEST = "requests.keep"
    RETRY_REQUESTS = "requests.retry"
    READ_CONTENT = "requests.read_content"
    CHANGE_QUEUE_ORDER = "queue.order"
    REPLAY_WEBHOOK = "webhooks.replay"
    ROTATE_WEBHOOK_KEYS = "webhooks.rotate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts."""

    name: str
    """User of the key; on the command line, user of the operating system."""
    key_id: str | None = None
    """None on the command line."""
    address: str | None = None
    """Network address of the client; None on the command line."""

    @classmethod
    def of_key(cls, key: ApiKey, address: str | None) -> Self:
        return cls(name=key.user, key_id=key.id, address=address)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    at: float
    actor: Actor
    action: Action
    target: str
    """Id or name of what was acted on: a key, an app, a worker, a request; or the filter of several requests."""
    before: Values | None = None
    """Values that the act changed; None if there were none before."""
    after: Values | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """An entry as it is read: its action may be one of a newer version."""

    id: int
    at: float
    actor: Actor
    action: str
    target: str
    before: Values | None
    after: Values | None
