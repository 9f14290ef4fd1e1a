"""A small synchronous client of the API. The command line uses it, too.

    with Client("http://127.0.0.1:8000", key) as client:
        submitted = client.submit("z-image-text-to-image", prompt="a red apple")
        client.wait(submitted.request_id)
        files = client.download(client.result(submitted.request_id), Path("."))

What it returns and raises is in `client_types`.
"""

import contextlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2

from pipelet import __version__
from pipelet.client_types import (
    AuthenticationError,
    ClientError,
    Health,
    NotCancellable,
    NotReady,
    RequestFailed,
    RequestNotFound,
    Result,
    ResultFile,
    ServiceUnavailable,
    Status,
    Submitted,
    Unreachable,
    ValidationError,
)
from pipelet.concurrency.backoff import Backoff
from pipelet.proxies import Proxy, ProxyUnusable, fault_of, fault_of_scheme, proxy_for

ANY_APP = "z-image-text-to-image"
"""Every request can be read under any app's path, so reads need not know its app."""
_INITIAL_BACKOFF, _MAX_BACKOFF = 0.25, 2.0
_RETRIED_STATUSES = (502, 503, 504)

_Shape = TypeVar("_Shape")


class Client:
    """A client of one service. It retries reads while a service that has responded before is unavailable, because the
    service is probably restarting. Proxies of the environment apply to servers on the internet; see `network`.

    Args:
        base_url: such as `https://api.example.com`.
        key: an API key; `health` works without one.
        retry_timeout: seconds for which reads are retried.
        timeout: seconds after which a connection without data fails.
    """

    def __init__(self, base_url: str, key: str | None, *, retry_timeout: float = 60.0, timeout: float = 30.0) -> None:
        if key is not None and not re.fullmatch(r"[!-~]+", key):
            raise AuthenticationError(
                "This is no API key: keys are printable ASCII without spaces, and start with `pipelet_`."
            )
        self.base_url = base_url.rstrip("/")
        self._authorization = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._retry_timeout = retry_timeout
        self._has_responded = False
        self._timeout = httpx2.Timeout(timeout, connect=5.0)
        self._by_proxy: dict[Proxy | None, httpx2.Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for http in self._by_proxy.values():
            http.close()

    def submit(self, app: str, **fields: Any) -> Submitted:
        """Submit a request. It is sent once only: if the response is lost, the request may exist all the same.

        Raises:
            ValidationError: the message has every reason.
            ServiceUnavailable, AuthenticationError.
        """
        response = self._send("POST", f"/fal/queue/{app}", json=fields)
        body = self._object(response)
        if response.status_code != 200:
            raise ValidationError(_reasons(body))
        with self._parsing():
            return Submitted(request_id=body["request_id"], queue_position=body["queue_position"], body=body)

    def status(self, request_id: str) -> Status:
        body = self._object(self._call("GET", request_id, "/status"))
        with self._parsing():
            return Status(
                request_id=body["request_id"],
                status=body["status"],
                queue_position=body["queue_position"],
                message=body["statusMessages"]["message"],
                estimated_total_seconds=body["statusMessages"]["estimatedTotalTimeSeconds"],
                error=body.get("error"),
                body=body,
            )

    def wait(
        self, request_id: str, *, on_status: Callable[[Status], None] = lambda _: None, poll: float = 0.25
    ) -> Status:
        """Poll the status every `poll` seconds until the request has ended. Call `on_status` with each."""
        while True:
            status = self.status(request_id)
            on_status(status)
            if status.is_finished:
                return status
            time.sleep(poll)

    def result(self, request_id: str) -> Result:
        """Return the result of a finished request.

        Raises:
            NotReady, RequestFailed, RequestNotFound, ServiceUnavailable, AuthenticationError.
        """
        response = self._call("GET", request_id)
        body = self._object(response)
        if response.status_code == 400:
            raise NotReady(_reasons(body))
        if response.status_code != 200:
            raise RequestFailed(_reasons(body), str(body.get("error_type", "")))
        with self._parsing():
            files = tuple(ResultFile(url=image["url"], file_name=image["file_name"]) for image in body["images"])
            return Result(files=files, seed=body["seed"], body=body)

    def cancel(self, request_id: str, *, running: bool = False) -> None:
        """Cancel a request.

        Args:
            running: stop a running request, too; it may finish before the worker notices.

        Raises:
            NotCancellable: the request is running or has ended.
            RequestNotFound, ServiceUnavailable, AuthenticationError.
        """
        response = self._call("PUT", request_id, "/cancel?in_progress=true" if running else "/cancel")
        if response.status_code != 202:
            body = self._object(response)
            too_late = NotCancellable(_reasons(body))
            too_late.is_running = body.get("status") == "ALREADY_IN_PROGRESS"
            raise too_late

    def download(self, result: Result, folder: Path) -> list[Path]:
        """Save all files under their own names, each whole or not at all. A taken name gets a number: `a-2.png`."""
        folder.mkdir(parents=True, exist_ok=True)
        return [self._with_retry(lambda file=file: self._fetch(file, folder)) for file in result.files]  # type: ignore[misc]

    def health(self) -> Health:
        """Return the health of the service; with a key, it has details."""
        body = self._object(self._with_retry(lambda: self._send("GET", "/health/ready", unavailable=())))
        with self._parsing():
            return Health(
                is_ready=body["status"] == "ready",
                version=body.get("version", ""),
                checks=body["checks"],
                workers=tuple(body.get("workers", ())),
                notes=tuple(body.get("notes", ())),
            )

    def _fetch(self, file: ResultFile, folder: Path) -> Path:
        name = "".join(c if c.isprintable() else "_" for c in PurePosixPath(file.file_name).name).strip(".") or "image"
        draft = folder / f".{name}.{secrets.token_hex(4)}.part"
        try:
            # The URL is the permission. The key is for our service only, and the file may be stored elsewhere.
            http, proxy = self._http_for(file.url)
            with http.stream("GET", file.url) as response, draft.open("xb") as target:
                if response.status_code != 200:
                    kind = ServiceUnavailable if response.status_code in _RETRIED_STATUSES else ClientError
                    raise kind(f"Fetching {name} failed: the file store responded with {response.status_code}.")
                for chunk in response.iter_bytes():
                    target.write(chunk)
            path = _unique_path(folder / name)
            return draft.replace(path)
        except httpx2.TransportError as error:
            fault = fault_of(error, file.url, proxy) or f"{_error_reason(error)}."
            raise ServiceUnavailable(f"Fetching {name} was interrupted. {fault}") from error
        finally:
            draft.unlink(missing_ok=True)

    def _call(self, method: str, request_id: str, route: str = "") -> httpx2.Response:
        """Send a call about a request, which may safely be sent twice."""
        path = f"/fal/queue/{ANY_APP}/requests/{quote(request_id, safe='')}{route}"
        response = self._with_retry(lambda: self._send(method, path))
        if response.status_code == 404:
            raise RequestNotFound(_reasons(self._object(response)))
        return response

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
        self, method: str, path: str, *, unavailable: tuple[int, ...] = _RETRIED_STATUSES, **rest: Any
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
            raise kind(f"The service at {self.base_url} does not respond: {_error_reason(error)}.") from error
        if response.status_code == 401:
            raise AuthenticationError(_reasons(self._object(response)))
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
            transport = httpx2.HTTPTransport(proxy=None if proxy is None else proxy.url)
            headers = {"User-Agent": f"pipelet-client/{__version__}"}
            http = httpx2.Client(transport=transport, timeout=self._timeout, headers=headers)
            self._by_proxy[proxy] = http
        return http, proxy

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


def _reasons(body: dict[str, Any]) -> str:
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


def _error_reason(error: httpx2.TransportError) -> str:
    return str(error) or type(error).__name__


def _unique_path(path: Path) -> Path:
    """Create an empty file with this name, or with a number if the name is taken."""
    number, candidate = 1, path
    while True:
        try:
            candidate.touch(exist_ok=False)
        except FileExistsError:
            number += 1
            candidate = path.with_stem(f"{path.stem}-{number}")
        else:
            return candidate
