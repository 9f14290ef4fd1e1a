"""Absolute URLs of our own."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9.\-_]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def base_url(public_url: str | None, scope: Mapping[str, Any]) -> str:
    """Our address as the caller knows it: the configured one, else scheme and host of the request itself."""
    if public_url is not None:
        return public_url
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    if not _HOST.fullmatch(host):
        host = _bound_to(scope)
    return f"{scope['scheme']}://{host}{scope.get('root_path', '')}"


def local_path(public_url: str | None, path: str) -> str:
    """Of a page of ours, with the prefix that a proxy in front takes away."""
    return urlsplit(public_url or "").path + path


def client_address(scope: Mapping[str, Any]) -> str | None:
    """The caller's, as a trusted proxy in front says."""
    client = scope.get("client")
    return client[0] if client else None


def of_request(public_url: str | None, scope: Mapping[str, Any], app: str, request_id: str) -> dict[str, str]:
    """The three URLs of a request, under the app that was called."""
    url = f"{base_url(public_url, scope)}/fal/queue/{app}/requests/{request_id}"
    return {"response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}


def _bound_to(scope: Mapping[str, Any]) -> str:
    """Where the connection came in, for requests whose Host header is missing or no host."""
    host, port = scope.get("server") or ("localhost", None)
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host
