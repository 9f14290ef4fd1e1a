"""How many connections there may be, in all and of one address."""

from collections import Counter
from ipaddress import IPv6Address, ip_address

from pipelet.http_server.limits import Limits

_SHARE = 4
"""One address has a quarter at most."""


class Connections:
    """Counts the connections of one server, those that are drained, and the bytes of unfinished heads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._most = limits.connection_limit()
        self._open = _Counted(self._most)
        self._draining = _Counted(limits.draining_connections)
        self._unfinished_heads: Counter[str] = Counter()

    @property
    def most(self) -> int:
        return self._most

    def open(self, address: str, *, is_proxy: bool) -> bool:
        """Whether one more is allowed; `close` ends it."""
        return self._open.add(address, is_proxy=is_proxy)

    def close(self, address: str) -> None:
        self._open.remove(address)

    def begin_drain(self, address: str, *, is_proxy: bool) -> bool:
        """Whether one more may be drained; `end_drain` ends it."""
        return self._draining.add(address, is_proxy=is_proxy)

    def end_drain(self, address: str) -> None:
        self._draining.remove(address)

    def hold_head(self, address: str, size: int, *, is_proxy: bool) -> bool:
        """False: the unfinished heads of all connections, or of one address, are too large together.

        `size` counts in any case.
        """
        key, most = network_of(address), self._limits.unfinished_heads_bytes
        self._unfinished_heads[key] += size
        is_within_share = is_proxy or self._unfinished_heads[key] <= most // _SHARE
        return is_within_share and self._unfinished_heads.total() <= most

    def release_head(self, address: str, size: int) -> None:
        key = network_of(address)
        self._unfinished_heads[key] -= size
        if not self._unfinished_heads[key]:
            del self._unfinished_heads[key]


class _Counted:
    def __init__(self, most: int) -> None:
        self._most = most
        self._most_of_one = max(1, most // _SHARE)
        self._all = 0
        self._by_address: Counter[str] = Counter()

    def add(self, address: str, *, is_proxy: bool) -> bool:
        key = network_of(address)
        if self._all >= self._most or (not is_proxy and self._by_address[key] >= self._most_of_one):
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
    """The address itself, or the /64 of an IPv6 address: providers give a customer at least that many."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(int(parsed) >> 64) if isinstance(parsed, IPv6Address) else address
