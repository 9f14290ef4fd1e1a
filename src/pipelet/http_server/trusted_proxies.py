"""Proxies whose `X-Forwarded-*` headers are trusted, and the values that these give."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

FOR, PROTO, HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_MAX_HOPS = 32
_SCHEMES = frozenset({"http", "https"})


class TrustedProxies:
    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._cached = lru_cache(maxsize=4096)(self._contains)

    def __contains__(self, address: str) -> bool:
        return self._cached(address)

    def _contains(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def read(self, headers: Sequence[tuple[bytes, bytes]]) -> tuple[str | None, str | None, bytes | None]:
        """Return client, scheme and host from the headers of a trusted proxy, None where there is none.

        Names of headers are in lower case.

        Each proxy appends what it saw, and clients may have sent lists of their own. So the client is the first address
        from the right that is not a trusted proxy. If the other lists have the same length, their entry at that place
        applies; else their last entry, which the nearest proxy wrote.
        """
        hops, schemes, hosts = (_entries(headers, name) for name in (FOR, PROTO, HOST))
        client, place = self._client(hops)
        scheme = _at(schemes, place, len(hops)).lower()
        host = _at(hosts, place, len(hops))
        return client, scheme if scheme in _SCHEMES else None, host.encode("latin-1") or None

    def _client(self, hops: Sequence[str]) -> tuple[str | None, int]:
        """Return the address of the client, and its place from the right."""
        client, place = None, 0
        for number, hop in enumerate(reversed(hops[-_MAX_HOPS:])):
            address = _address_of(hop)
            if address is None:  # such as `unknown`: entries to its left cannot be trusted
                break
            client, place = address, number
            if address not in self:
                break
        return client, place


def normalized(address: str) -> str:
    """Return the address, with IPv4-mapped IPv6 addresses as IPv4."""
    parsed = _parsed(address)
    return address if parsed is None else str(parsed)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _address_of(hop: str) -> str | None:
    """Parse `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    parsed = _parsed(hop)
    return None if parsed is None else str(parsed)


def _entries(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> list[str]:
    values = b",".join(value for each, value in headers if each == name)
    return [entry.strip() for entry in values.decode("latin-1").split(",")] if values else []


def _at(entries: Sequence[str], place: int, hops: int) -> str:
    if not entries:
        return ""
    return entries[-1 - place] if len(entries) == hops else entries[-1]
