"""Validates the webhook URL of a submit."""

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx2

from pipelet.api.errors import error_detail, validation_problem
from pipelet.domain.webhooks.delivery import Webhook

IsAllowedAddress = Callable[[IPv4Address | IPv6Address], bool]
"""Returns whether webhooks may be sent to an address."""

_NAME = "fal_webhook"
_MAX_URL_CHARS = 2048
_PORTS = {"http": 80, "https": 443}


def parse_webhook(text: str, *, is_allowed_address: IsAllowedAddress, base_url: str) -> Webhook:
    """
    Args:
        base_url: The address of this service, as the client knows it.

    Raises:
        Problem: 422 with the error in `text`.
    """
    try:
        url = _read(text)
        address = _literal_address(url.host)
        if address is not None and not is_allowed_address(address):
            hint = "The operator can allow its network (PIPELET_ALLOWED_NETWORKS)."
            raise ValueError(f"{url.host} is not on the public internet. {hint}")
    except ValueError as error:
        raise validation_problem(error_detail(["query", _NAME], str(error), sent=text)) from error
    endpoint = f"{url.raw_host.decode('ascii')}:{url.port or _PORTS[url.scheme]}"
    return Webhook(str(url), endpoint, base_url)


def _read(text: str) -> httpx2.URL:
    """Parse with the library that sends the webhook, so that both read the URL alike."""
    example = "Give an absolute URL such as https://example.com/hook, percent-encoded."
    if len(text) > _MAX_URL_CHARS:
        raise ValueError(f"The URL is too long: at most {_MAX_URL_CHARS} characters are allowed.")
    try:
        url = httpx2.URL(text)
        httpx2.Request("POST", url)
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        raise ValueError(f"This is not a URL: {error} {example}") from error
    if url.scheme not in _PORTS or not url.host or " " in url.host or "%" in url.host:
        raise ValueError(f"This is not a URL of http or https. {example}")
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError("The port is out of range. Give one from 1 to 65535.")
    if url.userinfo:
        raise ValueError("The URL must not hold a user or a password: it is kept and shown to the operator.")
    if url.fragment:
        raise ValueError("A fragment (#…) is never sent to the endpoint. Leave it out, or percent-encode the #.")
    return url


def _literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address, in any notation; None for a name, which is resolved when the webhook is sent."""
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
