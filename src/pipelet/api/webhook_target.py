"""Reading where a request's webhook goes, as the query of its submit says it."""

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx2

from pipelet.api.problems import Problem, bad_input, fault
from pipelet.domain.webhooks import Webhook

MayCall = Callable[[IPv4Address | IPv6Address], bool]
"""Whether webhooks may go to an address."""

_NAME = "fal_webhook"
_MOST_CHARS = 2048
_PORTS = {"http": 80, "https": 443}


def read_webhook(text: str, *, may_call: MayCall, base_url: str) -> Webhook:
    """`base_url` is our own address, as the caller knows it.

    Raises:
        Problem: 422, saying what is wrong with `text`.
    """
    url = _read(text)
    address = _literal_address(url.host)
    if address is not None and not may_call(address):
        raise _refused(
            text,
            f"{url.host} is not on the public internet. Whoever runs this service can allow its network "
            "(PIPELET_ALLOWED_NETWORKS).",
        )
    receiver = f"{url.raw_host.decode('ascii')}:{url.port or _PORTS[url.scheme]}"
    return Webhook(str(url), receiver, base_url)


def _read(text: str) -> httpx2.URL:
    """By the parser that will be used for calling it, so that no two understand it differently."""
    example = "Give an absolute URL such as https://example.com/hook, percent-encoded."
    if len(text) > _MOST_CHARS:
        raise _refused(text, f"The URL has more than the {_MOST_CHARS} characters that are allowed.")
    try:
        url = httpx2.URL(text)
        httpx2.Request("POST", url)
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        raise _refused(text, f"This is no URL: {error} {example}") from error
    if url.scheme not in _PORTS or not url.host or " " in url.host or "%" in url.host:
        raise _refused(text, f"This is no URL of http or https. {example}")
    if url.port is not None and not 0 < url.port < 65536:
        raise _refused(text, "There is no such port.")
    if url.userinfo:
        raise _refused(text, "The URL must not hold a user or a password: it is kept and shown to the operator.")
    if url.fragment:
        raise _refused(text, "A fragment (#…) is never sent to the receiver. Leave it out, or percent-encode the #.")
    return url


def _literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """In any of its forms; other names are looked up when they are called."""
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))  # 2130706433, 0x7f.1, 0177.0.0.1
    except OSError:
        return None


def _refused(given: str, detail: str) -> Problem:
    return bad_input(fault(["query", _NAME], detail, sent=given))
