"""The limit of failed logins of one address."""

import time
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address, ip_network

MAX_FAILURES = 10
WINDOW_SECONDS = 60.0
_MAX_ADDRESSES = 10_000
_IPV6_PREFIX = 64
"""Bits. One client has a whole network of this size."""


class FailedLogins:
    """Counts failures only: a user behind the address of a guesser can still sign in.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, deque[float]] = {}

    def note(self, address: str | None) -> float:
        """Note a failure. Returns the seconds until the next one is within the limit; 0 if this one was."""
        now, client = self._clock(), _client(address)
        failures = self._failures.pop(client, None) or deque(maxlen=MAX_FAILURES)
        if len(self._failures) >= _MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures[client] = failures  # the last of the dictionary: the one that is dropped last
        if len(failures) == MAX_FAILURES and now - failures[0] < WINDOW_SECONDS:
            return WINDOW_SECONDS - (now - failures[0])
        failures.append(now)
        return 0.0


def _client(address: str | None) -> str:
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return address or ""
    return str(ip_network((parsed, _IPV6_PREFIX), strict=False)) if parsed.version == 6 else str(parsed)
