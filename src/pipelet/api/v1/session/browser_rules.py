"""What a call by cookie must show, because a browser sends the cookie by itself: that our own page makes the call."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from starlette.types import Scope

from pipelet.api.errors import Problem
from pipelet.api.request_urls import host_of

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FOREIGN_SITES = frozenset({b"cross-site", b"same-site"})
"""Values of `Sec-Fetch-Site`. A page on another port of this host is `same-site`."""


def is_loopback(hostname: str) -> bool:
    if hostname == "localhost" or hostname.endswith(".localhost"):
        return True
    address = _address(hostname)
    return address is not None and address.is_loopback


def require_known_host(public_url: str | None, scope: Scope) -> None:
    """Refuse a name that is not ours: a page of another domain may have its name point at this service.

    Names of this machine, addresses, and the host of `public_url` are known.

    Raises:
        Problem: 421.
    """
    hostname = host_of(scope).hostname
    known = urlsplit(public_url or "").hostname
    if hostname == known or is_loopback(hostname) or _address(hostname) is not None:
        return
    message = (
        f"This service is not known as {hostname or 'this host'}, so pages may not sign in to it there. Set "
        "PIPELET_PUBLIC_URL to the URL that its users open."
    )
    raise Problem(421, message, error_type="unknown_host")


def require_own_page(public_url: str | None, scope: Scope, *, takes_image: bool = False) -> None:
    """Refuse calls of pages of other origins.

    A call that changes something needs headers that a page of another origin can only send after a CORS preflight,
    which nothing here allows, and the browser's word that the page is ours.

    Args:
        takes_image: the body is an image. Its content type needs a preflight as well; that of a form does not, so no
            form is taken.

    Raises:
        Problem: 403, or 415 without the content type.
    """
    headers = dict(scope["headers"])
    site = headers.get(b"sec-fetch-site")
    if scope["method"] in _SAFE_METHODS:
        if site in _FOREIGN_SITES:
            raise _foreign()
        return
    content_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if takes_image:
        if not content_type.startswith(b"image/"):
            message = "An upload by cookie needs the `Content-Type` of its image, such as `image/png`."
            raise Problem(415, message, error_type="content_type")
    elif content_type != b"application/json":
        raise Problem(415, "A call by cookie needs `Content-Type: application/json`.", error_type="content_type")
    if headers.get(b"x-pipelet") != b"1":
        raise Problem(403, "A call by cookie needs the header `X-Pipelet: 1`.", error_type="cross_origin")
    if site is not None:
        if site != b"same-origin":
            raise _foreign()
    elif headers.get(b"origin", b"").decode("latin-1") not in _own_origins(public_url, scope):
        raise _foreign()


def _own_origins(public_url: str | None, scope: Scope) -> set[str]:
    origins = {f"{scope['scheme']}://{host_of(scope).netloc}"}
    if public_url is not None:
        public = urlsplit(public_url)
        origins.add(f"{public.scheme}://{public.netloc}")
    return origins


def _foreign() -> Problem:
    return Problem(403, "Only the pages of this service may call it by cookie. Send a key.", error_type="cross_origin")


def _address(hostname: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(hostname)
    except ValueError:
        return None
