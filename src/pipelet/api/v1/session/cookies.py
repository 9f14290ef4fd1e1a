"""The cookie of a session.

Its name carries the port, because cookies do not know ports: several services on one host would sign each other out.
`__Host-` makes a browser refuse it from other hosts of the domain, and on connections without TLS other than to this
machine.
"""

from urllib.parse import urlsplit

from fastapi.responses import Response
from starlette.requests import cookie_parser
from starlette.types import Scope

from pipelet.api.errors import Problem
from pipelet.api.request_urls import host_of
from pipelet.api.v1.session.browser_rules import is_loopback
from pipelet.domain.accounts.sessions import MAX_SECONDS

_NAME = "pipelet-{port}"
_DEFAULT_PORTS = {"https": 443, "http": 80}
_MAX_CHARS = 100


class SessionCookie:
    """
    Args:
        public_url: URL of the service, if the operator gave one.
        over_http: whether the operator accepts cookies that anyone in the network can read.
    """

    def __init__(self, public_url: str | None, *, over_http: bool) -> None:
        self._public = urlsplit(public_url or "")
        self._over_http = over_http

    def read(self, scope: Scope) -> str | None:
        """The secret in the cookie of a request; None if it has none."""
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"]
        sent = cookie_parser("; ".join(values))
        secret = sent.get(self._name(scope))
        return secret if secret and len(secret) <= _MAX_CHARS else None

    def set(self, response: Response, scope: Scope, secret: str, *, remember: bool) -> None:
        """
        Args:
            remember: let the browser keep it when it is closed.
        """
        response.set_cookie(
            self._name(scope),
            secret,
            max_age=int(MAX_SECONDS) if remember else None,
            secure=not self._is_plain(scope),
            httponly=True,
            samesite="strict",
        )

    def clear(self, response: Response, scope: Scope) -> None:
        response.delete_cookie(self._name(scope), secure=not self._is_plain(scope), httponly=True, samesite="strict")

    def require_kept(self, scope: Scope) -> None:
        """
        Raises:
            Problem: 403; browsers drop a `Secure` cookie on this connection.
        """
        if not (self._over_http or self._scheme(scope) == "https" or is_loopback(host_of(scope).hostname)):
            message = (
                "Browsers keep the session's cookie on encrypted connections only. Put a TLS proxy in front, tunnel to "
                "this machine with `ssh -L`, or set PIPELET_UI_OVER_HTTP=true in a network that you trust."
            )
            raise Problem(403, message, error_type="insecure_connection")

    def _name(self, scope: Scope) -> str:
        port = host_of(scope).port or _DEFAULT_PORTS[self._scheme(scope)]
        return ("" if self._is_plain(scope) else "__Host-") + _NAME.format(port=port)

    def _is_plain(self, scope: Scope) -> bool:
        return self._over_http and self._scheme(scope) == "http"

    def _scheme(self, scope: Scope) -> str:
        """The scheme that the browser used: a proxy may not have passed it on."""
        if self._public.scheme == "https" and host_of(scope).netloc == self._public.netloc:
            return "https"
        return "https" if scope["scheme"] == "https" else "http"
