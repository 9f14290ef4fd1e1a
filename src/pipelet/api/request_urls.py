"""Absolute URLs of this service."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9.\-_]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def public_base_url(public_url: str | None, scope: Mapping[str, Any]) -> str:
    """The address of this service as the client knows it: the configured one, or else the request's scheme and host."""
    if public_url is not None:
        return public_url
    return f"{scope['scheme']}://{_host(scope)}{scope.get('root_path', '')}"


class Host(NamedTuple):
    """The host that a request was sent to."""

    netloc: str
    """As the client wrote it, in lower case."""
    hostname: str
    """Without port and brackets."""
    port: int | None
    """None where the client used the port of the scheme."""


def host_of(scope: Mapping[str, Any]) -> Host:
    """The host that a request was sent to, as the client knows it."""
    netloc = _host(scope).lower()
    name, _, port = netloc.removeprefix("[").partition("]:" if netloc.startswith("[") else ":")
    return Host(netloc, name.removesuffix("]"), int(port) if port else None)


def local_path(public_url: str | None, path: str) -> str:
    """Path of a page, with the prefix that a proxy in front removes."""
    return urlsplit(public_url or "").path + path


def client_address(scope: Mapping[str, Any]) -> str | None:
    """Address of the client; behind a trusted proxy, the one that the proxy names."""
    client = scope.get("client")
    return client[0] if client else None


def request_urls(public_url: str | None, scope: Mapping[str, Any], app_path: str, request_id: str) -> dict[str, str]:
    """The three URLs of a request.

    Args:
        app_path: path of what was called, below `/fal/`.
    """
    url = f"{public_base_url(public_url, scope)}/fal/{app_path}/requests/{request_id}"
    return {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}


def _host(scope: Mapping[str, Any]) -> str:
    for name, value in scope["headers"]:
        if name == b"host":
            return _valid_host(value) or _server_address(scope)
    return _server_address(scope)


@lru_cache(256)  # clients name the same few hosts in every request
def _valid_host(value: bytes) -> str | None:
    host = value.decode("latin-1")
    return host if _HOST.fullmatch(host) else None


def _server_address(scope: Mapping[str, Any]) -> str:
    """The address that the connection came in at, for requests without a valid Host header."""
    host, port = scope.get("server") or ("localhost", None)
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host
