"""Addresses as operators write them in settings. Each parser raises ValueError, saying what they must look like."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

_ORIGIN = re.compile(r"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_HOST_AND_PORT = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")


def origins(value: str) -> tuple[str, ...]:
    """Origins of web pages; `*` for any."""
    if value in ("*", "none"):
        return () if value == "none" else ("*",)
    found = tuple(part.strip().lower() for part in value.split(",") if part.strip())
    if not found or not all(map(_ORIGIN.fullmatch, found)):
        raise ValueError("must be `*`, `none`, or look like https://app.example.com,http://localhost:3000")
    return found


def networks(value: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Addresses and networks, separated by commas; empty or `none` for none."""
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip() not in ("", "none"))


def host_and_port(value: str) -> tuple[str, int] | None:
    """An address to listen on; None where the value is empty."""
    if not value:
        return None
    found = _HOST_AND_PORT.fullmatch(value)
    if found is None or int(found["port"]) > 65535:
        raise ValueError("must look like 127.0.0.1:9464 or [::1]:9464")
    return found["host"].strip("[]"), int(found["port"])


def host_names(value: str) -> tuple[str, ...]:
    """Host names and addresses, separated by commas."""
    found = tuple(part.strip().lower() for part in value.split(",") if part.strip())
    if not all(map(_HOST_NAME.fullmatch, found)):
        raise ValueError("must look like gpu.lan,192.168.1.20")
    return tuple(str(ip_address(name)) if ":" in name else name for name in found)


def local_url(host: str, port: int, *, tls: bool = False) -> str:
    """Return the URL of a listener on this machine."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a client cannot connect to these
    return f"{'https' if tls else 'http'}://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"
