"""What X-Forwarded-* headers are taken to say."""

from ipaddress import ip_network

import pytest

from pipelet.http_server.connections import network_of
from pipelet.http_server.trusted_proxies import LOOPBACK, TrustedProxies, normalized

PROXIES = TrustedProxies([*LOOPBACK, ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")])


@pytest.mark.parametrize(
    ("sent", "client"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["1.2.3.4, 203.0.113.7"], "203.0.113.7"),
        (["1.2.3.4", "203.0.113.7 , 10.1.1.1"], "203.0.113.7"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::7]:4711, 2001:db8:1::1"], "2001:db8::7"),
        (["2001:DB8:0::7"], "2001:db8::7"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        (["unknown"], None),
        (["1.2.3.4, unknown, 10.0.0.8"], "10.0.0.8"),
        (["1.2.3.4, , 10.0.0.8"], "10.0.0.8"),
        (["\x1b[31m"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_client(sent: list[str], client: str | None) -> None:
    """The first address from the right that is no trusted proxy; beyond what is no address nothing is believed."""
    headers = [(b"x-forwarded-for", value.encode()) for value in sent]

    assert client == PROXIES.read(headers)[0]


@pytest.mark.parametrize(
    ("hops", "schemes", "scheme"),
    [
        ("203.0.113.7", "https", "https"),
        ("1.2.3.4, 203.0.113.7", "https", "https"),
        ("203.0.113.7, 10.0.0.1", "https, http", "https"),
        ("1.2.3.4, 203.0.113.7, 10.0.0.1", "https, http", "http"),
        ("203.0.113.7", "javascript", None),
        ("203.0.113.7", "HTTPS", "https"),
        ("", "https", "https"),
    ],
)
def test_the_scheme(hops: str, schemes: str, scheme: str | None) -> None:
    """That at the client's place where the lists are as long; else the nearest proxy's."""
    headers = [(b"x-forwarded-proto", schemes.encode())]
    headers += [(b"x-forwarded-for", hops.encode())] if hops else []

    assert scheme == PROXIES.read(headers)[1]


def test_addresses_in_two_forms_are_the_same() -> None:
    """An IPv4 client on a socket for both; and those of one IPv6 network, which one client may have all."""
    assert "127.0.0.1" == normalized("::ffff:127.0.0.1")
    assert "::ffff:127.0.0.1" in PROXIES
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert "192.0.2.1" == network_of("192.0.2.1")
