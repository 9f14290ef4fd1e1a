"""What a key may do besides making its own requests."""

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """A right of a key. `operate` acts on requests without showing them; `content` shows them."""

    GENERATE = "generate"
    """Submit, read, cancel and delete the requests of its own user."""
    OBSERVE = "observe"
    """Read the queue, workers, failures, usage, and the requests of all users without their content."""
    OPERATE = "operate"
    """Pause, drain, replay webhooks; move, retry, cancel and delete the requests of all users."""
    KEYS = "keys"
    """Create, limit, rotate and revoke keys."""
    CONTENT = "content"
    """See prompts, logs and images of all users."""


DEFAULT_SCOPES = frozenset({Scope.GENERATE})
"""The scopes of a key that was made without any."""
ALL_SCOPES = frozenset(Scope)


def to_text(scopes: Iterable[Scope]) -> str:
    """Return scopes as OAuth writes them: separated by spaces, here in the order of `Scope`."""
    wanted = set(scopes)
    return " ".join(scope for scope in Scope if scope in wanted)


def from_text(text: str) -> frozenset[Scope]:
    """Return the scopes in `text`, without those of a newer version."""
    return frozenset(Scope(name) for name in text.split() if name in [*Scope])
