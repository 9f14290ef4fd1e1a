"""The connection of the client to a service: proxies, keys, retries, and responses that are not ours."""

import contextlib
import re
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2

from pipelet import __version__
from pipelet.client_types import AuthenticationError, ServiceUnavailable, Unreachable
from pipelet.concurrency.backoff import Backoff
from pipelet.proxies import Proxy, ProxyUnusable, fault_of, fault_of_scheme, proxy_for

RETRIED_STATUSES = (502, 503, 504)
_INITIAL_BACKOFF, _MAX_BACKOFF = 0.25, 2.0

_Shape = TypeVar("_Shape")


class Connection:
    """What every call of the client needs; `Client` has the calls."""

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        retry_timeout: float = 60.0,
        timeout: float = 30.0,
        ca_file: Path | None = None,
    ) -> None:
        if key is not None and not re.fullmatch(r"[!-~]+", key):
            raise AuthenticationError(
                "This is no API key: keys are printable ASCII without spaces, and start with `pipelet_`."
            )
        self.base_url = base_url.rstrip("/")
        self._authorization = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._retry_timeout = retry_timeout
        self._has_responded = False
        self._timeout = httpx2.Timeout(timeout, connect=5.0)
        self._ca_file = ca_file
        self._by_proxy: dict[Proxy | None, httpx2.Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for http in self._by_proxy.values():
            http.close()

    def _with_retry(self, attempt: Callable[[], _Shape]) -> _Shape:
        deadline = time.monotonic() + self._retry_timeout
        backoff = Backoff(initial=_INITIAL_BACKOFF, maximum=_MAX_BACKOFF)
        while True:
            try:
                return attempt()
            except ServiceUnavailable:
                # A service that never responded is not restarting: its address is wrong, or it was not started.
                if not self._has_responded or time.monotonic() >= deadline:
                    raise
                time.sleep(backoff.next())

    def _send(
        self, method: str, path: str, *, unavailable: tuple[int, ...] = RETRIED_STATUSES, **rest: Any
    ) -> httpx2.Response:
        http, proxy = self._http_for(self.base_url)
        try:
            response = http.request(method, self.base_url + path, headers=self._authorization, **rest)
        except httpx2.TransportError as error:
            if fault := fault_of(error, self.base_url, proxy):
                raise ServiceUnavailable(f"Reaching the service at {self.base_url} failed. {fault}") from error
            # A server that accepted the connection is running; the advice to start it would be wrong.
            is_unreachable = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            kind = Unreachable if is_unreachable else ServiceUnavailable
            raise kind(f"The service at {self.base_url} does not respond: {error_reason(error)}.") from error
        if response.status_code == 401:
            raise AuthenticationError(reasons(self._object(response)))
        if response.status_code in unavailable:
            reason = _message(response) or f"the response{self._by()} has the status {response.status_code}."
            raise ServiceUnavailable(f"The service at {self.base_url} is not available now: {reason}")
        self._has_responded = True
        return response

    def _http_for(self, url: str) -> tuple[httpx2.Client, Proxy | None]:
        """Return a client that reaches `url`, and the proxy that it uses."""
        try:
            proxy = proxy_for(url)
        except ProxyUnusable as error:
            raise ServiceUnavailable(str(error)) from error
        http = self._by_proxy.get(proxy)
        if http is None:
            # With a transport of our own, httpx2 reads certificates from the environment, but no proxies.
            transport = httpx2.HTTPTransport(verify=self._tls(), proxy=None if proxy is None else proxy.url)
            headers = {"User-Agent": f"pipelet-client/{__version__}"}
            http = httpx2.Client(transport=transport, timeout=self._timeout, headers=headers)
            self._by_proxy[proxy] = http
        return http, proxy

    def _tls(self) -> ssl.SSLContext | bool:
        if self._ca_file is None:
            return True  # httpx2's own choice
        context = httpx2.create_ssl_context()
        context.load_verify_locations(self._ca_file)
        return context

    def _object(self, response: httpx2.Response) -> dict[str, Any]:
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            fault = f"{self.base_url}{self._by()} is not a Pipelet server. Check the URL."
            raise ServiceUnavailable((None if self._by() else fault_of_scheme(self.base_url)) or fault)
        return body

    def _by(self) -> str:
        """Return a mention of the proxy, if there is one: the response may be its own."""
        _, proxy = self._http_for(self.base_url)
        return "" if proxy is None else f", by the {proxy},"

    @contextlib.contextmanager
    def _parsing(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError) as error:
            raise ServiceUnavailable(
                f"{self.base_url} does not respond like a Pipelet server. Check the URL."
            ) from error


def reasons(body: dict[str, Any]) -> str:
    """Return the reasons in an error response, each with its field."""
    match body.get("detail"):
        case [{"msg": _}, *_] as faults:
            return "; ".join(_reason(fault) for fault in faults)
        case str(detail):
            return detail
        case _:
            return str(body.get("message", "The service gave no reason."))


def _reason(fault: dict[str, Any]) -> str:
    field = ".".join(str(part) for part in fault.get("loc", [])[1:])
    return f"{field}: {fault['msg']}" if field else str(fault["msg"])


def _message(response: httpx2.Response) -> str:
    """Return the message of the service; empty if the response is not from the service."""
    with contextlib.suppress(ValueError, AttributeError):
        return str(response.json().get("message", ""))
    return ""


def error_reason(error: httpx2.TransportError) -> str:
    return str(error) or type(error).__name__
