"""Limits of connections, in total and per address."""

from collections import Counter
from ipaddress import IPv6Address

from pipelet.http_server.limits import Limits

_SHARE = 4
"""One address may have a quarter of all connections."""


class CappedCounter:
    """Counts what is open, in total and per address."""

    def __init__(self, maximum: int) -> None:
        self.max = maximum
        self._max_per_address = max(1, maximum // _SHARE)
        self._all = 0
        self._by_address: Counter[str] = Counter()

    def add(self, address: str, *, is_proxy: bool) -> bool:
        """Count one more. Return False if that is too many."""
        key = network_of(address)
        if self._all >= self.max or (not is_proxy and self._by_address[key] >= self._max_per_address):
            return False
        self._all += 1
        self._by_address[key] += 1
        return True

    def remove(self, address: str) -> None:
        key = network_of(address)
        self._all -= 1
        self._by_address[key] -= 1
        if not self._by_address[key]:
            del self._by_address[key]


class Connections:
    """Counts open connections, draining connections, and the bytes of unfinished heads of one server."""

    def __init__(self, limits: Limits) -> None:
        self.open = CappedCounter(limits.connection_limit())
        self.draining = CappedCounter(limits.draining_connections)
        self._max_head_bytes = limits.unfinished_heads_bytes
        self._head_bytes: Counter[str] = Counter()

    def hold_head(self, address: str, size: int, *, is_proxy: bool) -> bool:
        """Add bytes of an unfinished head. Return False if all heads, or those of one address, are too large together.

        `size` is added in either case.
        """
        key = network_of(address)
        self._head_bytes[key] += size
        is_within_share = is_proxy or self._head_bytes[key] <= self._max_head_bytes // _SHARE
        return is_within_share and self._head_bytes.total() <= self._max_head_bytes

    def release_head(self, address: str, size: int) -> None:
        key = network_of(address)
        self._head_bytes[key] -= size
        if not self._head_bytes[key]:
            del self._head_bytes[key]


def network_of(address: str) -> str:
    """Return the address, or the /64 of an IPv6 address: providers give each customer at least that many."""
    if ":" not in address:
        return address
    try:
        return str(int(IPv6Address(address)) >> 64)
    except ValueError:
        return address
