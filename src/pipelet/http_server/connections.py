"""Limits of connections, in total and per address."""

from collections import Counter
from ipaddress import IPv6Address, ip_address

from pipelet.http_server.limits import Limits

_SHARE = 4
"""One address may have a quarter of all connections."""


class Connections:
    """Counts open connections, draining connections, and the bytes of unfinished heads of one server."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._max = limits.connection_limit()
        self._open = _Counted(self._max)
        self._draining = _Counted(limits.draining_connections)
        self._unfinished_heads: Counter[str] = Counter()

    @property
    def max(self) -> int:
        return self._max

    def open(self, address: str, *, is_proxy: bool) -> bool:
        """Count one more connection. Return False if that is too many. `close` removes it."""
        return self._open.add(address, is_proxy=is_proxy)

    def close(self, address: str) -> None:
        self._open.remove(address)

    def begin_drain(self, address: str, *, is_proxy: bool) -> bool:
        """Count one more drain. Return False if that is too many. `end_drain` removes it."""
        return self._draining.add(address, is_proxy=is_proxy)

    def end_drain(self, address: str) -> None:
        self._draining.remove(address)

    def hold_head(self, address: str, size: int, *, is_proxy: bool) -> bool:
        """Add bytes of an unfinished head. Return False if all heads, or those of one address, are too large together.

        `size` is added in either case.
        """
        key, maximum = network_of(address), self._limits.unfinished_heads_bytes
        self._unfinished_heads[key] += size
        is_within_share = is_proxy or self._unfinished_heads[key] <= maximum // _SHARE
        return is_within_share and self._unfinished_heads.total() <= maximum

    def release_head(self, address: str, size: int) -> None:
        key = network_of(address)
        self._unfinished_heads[key] -= size
        if not self._unfinished_heads[key]:
            del self._unfinished_heads[key]


class _Counted:
    def __init__(self, maximum: int) -> None:
        self._max = maximum
        self._max_per_address = max(1, maximum // _SHARE)
        self._all = 0
        self._by_address: Counter[str] = Counter()

    def add(self, address: str, *, is_proxy: bool) -> bool:
        key = network_of(address)
        if self._all >= self._max or (not is_proxy and self._by_address[key] >= self._max_per_address):
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


def network_of(address: str) -> str:
    """Return the address, or the /64 of an IPv6 address: providers give each customer at least that many."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(int(parsed) >> 64) if isinstance(parsed, IPv6Address) else address
