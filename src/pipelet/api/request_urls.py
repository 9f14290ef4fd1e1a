"""Absolute URLs of this service."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9.\-_]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def public_base_url(public_url: str | None, scope: Mapping[str, Any]) -> str:
    """The address of this service as the client knows it: the configured one, or else the request's scheme and host."""
    if public_url is not None:
        return public_url
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    if not _HOST.fullmatch(host):
        host = _server_address(scope)
    return f"{scope['scheme']}://{host}{scope.get('root_path', '')}"


def local_path(public_url: str | None, path: str) -> str:
    """Path of a page, with the prefix that a proxy in front removes."""
    return urlsplit(public_url or "").path + path


def client_address(scope: Mapping[str, Any]) -> str | None:
    """Address of the client; behind a trusted proxy, the one that the proxy names."""
    client = scope.get("client")
    return client[0] if client else None


def request_urls(public_url: str | None, scope: Mapping[str, Any], app: str, request_id: str) -> dict[str, str]:
    """The three URLs of a request, under the app that was called."""
    url = f"{public_base_url(public_url, scope)}/fal/queue/{app}/requests/{request_id}"
    return {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}


def _server_address(scope: Mapping[str, Any]) -> str:
    """The address that the connection came in at, for requests without a valid Host header."""
    host, port = scope.get("server") or ("localhost", None)
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host
