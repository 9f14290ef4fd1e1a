"""Sessions of browsers, and the codes that start one without a key. Both are known to us only by their hashes."""

import secrets
from dataclasses import dataclass

IDLE_SECONDS = 12 * 3600.0
"""Seconds without a request after which a session ends."""
MAX_SECONDS = 30 * 86400.0
"""Seconds after which a session ends in any case."""
CODE_SECONDS = 300.0
"""Seconds for which a login code is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Times are seconds since the epoch. `last_seen_at` is late by a minute at most."""

    id: str
    hash: bytes
    key_id: str
    created_at: float
    last_seen_at: float
    expires_at: float
    user_agent: str

    def is_over(self, now: float) -> bool:
        return now >= self.expires_at or now - self.last_seen_at >= IDLE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginCode:
    hash: bytes
    key_id: str
    expires_at: float


def new_session_secret() -> str:
    """256 random bits, as text for a cookie."""
    return secrets.token_urlsafe(32)


def new_code_secret() -> str:
    """128 random bits, as text for the fragment of a URL."""
    return secrets.token_urlsafe(16)
