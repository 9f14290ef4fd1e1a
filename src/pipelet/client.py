"""A small client of the API, which the command line uses, too.

    with Client("http://127.0.0.1:8000", key) as client:
        submitted = client.submit("z-image-text-to-image", prompt="a red apple")
        client.wait(submitted.request_id)
        files = client.download(client.result(submitted.request_id), Path("."))

What can go wrong, each with the service's own message where it sent one:

ClientError
├── ServiceAway      what answers is no Pipelet, or cannot work right now, or a proxy or a certificate is in the way
│   └── Unreachable  nothing accepts connections at the address
├── KeyNotAccepted
├── UnknownRequest   there is none of this id, or it is somebody else's
├── InputRefused     the request was not taken
├── TooLate          only waiting requests can be cancelled
├── NotFinished      there is no result yet
└── RequestFailed    it ended without pictures
"""

import contextlib
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2

from pipelet import __version__
from pipelet.client_types import (
    Health,
    Result,
    ResultFile,
    Status,
    Submitted,
    health_from,
    result_from,
    status_from,
)
from pipelet.concurrency.backoff import Backoff
from pipelet.domain.errors import PipeletError
from pipelet.network import Proxy, ProxyUnusable, fault_of, fault_of_scheme, proxy_for

__all__ = [
    "ANY_APP",
    "Client",
    "ClientError",
    "Health",
    "InputRefused",
    "KeyNotAccepted",
    "NotFinished",
    "RequestFailed",
    "Result",
    "ResultFile",
    "ServiceAway",
    "Status",
    "Submitted",
    "TooLate",
    "UnknownRequest",
    "Unreachable",
]

ANY_APP = "z-image-text-to-image"
"""A request answers under every app's path, so reads need not know which one it was made at."""
_INITIAL_BACKOFF, _MAX_BACKOFF = 0.25, 2.0
_AWAY = (502, 503, 504)

_Shape = TypeVar("_Shape")


class ClientError(PipeletError):
    pass


class ServiceAway(ClientError):
    pass


class Unreachable(ServiceAway):
    pass


class KeyNotAccepted(ClientError):
    pass


class UnknownRequest(ClientError):
    pass


class InputRefused(ClientError):
    pass


class TooLate(ClientError):
    is_running = False
    """It has not ended: `cancel` with `running=True` stops it."""


class NotFinished(ClientError):
    pass


class RequestFailed(ClientError):
    def __init__(self, message: str, error_type: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        """Machine-readable: `client_cancelled`, `out_of_memory` and so on."""


class Client:
    """Synchronous. Reads are repeated while a service that has answered before is away, for it is probably restarting.

    Args:
        base_url: such as `https://api.example.com`.
        key: an API key; None will do for `health`.
        patience: seconds for which reads are repeated.
        timeout: seconds until a silent connection counts as away.

    Proxies of the environment are used for servers on the internet, as `network` says.
    """

    def __init__(self, base_url: str, key: str | None, *, patience: float = 60.0, timeout: float = 30.0) -> None:
        if key is not None and not re.fullmatch(r"[!-~]+", key):
            raise KeyNotAccepted("This is no API key: keys are printable ASCII without spaces, and start with `pk_`.")
        self.base_url = base_url.rstrip("/")
        self._authorization = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._patience = patience
        self._has_answered = False
        self._timeout = httpx2.Timeout(timeout, connect=5.0)
        self._by_proxy: dict[Proxy | None, httpx2.Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for http in self._by_proxy.values():
            http.close()

    def submit(self, app: str, **fields: Any) -> Submitted:
        """Make a request. Sent once only: where the answer is lost, the request may exist all the same.

        Raises:
            InputRefused: with every reason.
            ServiceAway, KeyNotAccepted.
        """
        response = self._send("POST", f"/fal/queue/{app}", json=fields)
        body = self._object(response)
        if response.status_code != 200:
            raise InputRefused(_reasons(body))
        return self._shaped(
            lambda: Submitted(request_id=body["request_id"], queue_position=body["queue_position"], body=body)
        )

    def status(self, request_id: str) -> Status:
        body = self._object(self._found(self._read("GET", f"{_path(request_id)}/status")))
        return self._shaped(lambda: status_from(body))

    def wait(
        self, request_id: str, *, on_status: Callable[[Status], None] = lambda _: None, poll: float = 0.25
    ) -> Status:
        """Ask every `poll` seconds until the request has ended, well or badly; `on_status` hears of each answer."""
        while True:
            status = self.status(request_id)
            on_status(status)
            if status.is_finished:
                return status
            time.sleep(poll)

    def result(self, request_id: str) -> Result:
        """
        Raises:
            NotFinished, RequestFailed, UnknownRequest, ServiceAway, KeyNotAccepted.
        """
        response = self._found(self._read("GET", _path(request_id)))
        body = self._object(response)
        if response.status_code == 400:
            raise NotFinished(_reasons(body))
        if response.status_code != 200:
            raise RequestFailed(_reasons(body), str(body.get("error_type", "")))
        return self._shaped(lambda: result_from(body))

    def cancel(self, request_id: str, *, running: bool = False) -> None:
        """
        Args:
            running: stop it also where it has begun; it may be finished before it hears of that.

        Raises:
            TooLate: it runs or has ended.
            UnknownRequest, ServiceAway, KeyNotAccepted.
        """
        also_running = "?in_progress=true" if running else ""
        response = self._found(self._read("PUT", f"{_path(request_id)}/cancel{also_running}"))
        if response.status_code != 202:
            body = self._object(response)
            too_late = TooLate(_reasons(body))
            too_late.is_running = body.get("status") == "ALREADY_IN_PROGRESS"
            raise too_late

    def download(self, result: Result, folder: Path) -> list[Path]:
        """Save all files under their own names, each whole or not at all; a taken name gets a number: `a-2.png`."""
        folder.mkdir(parents=True, exist_ok=True)
        return [self._patiently(lambda file=file: self._fetch(file, folder)) for file in result.files]  # type: ignore[misc]

    def health(self) -> Health:
        """Needs no key; with one, it tells more."""
        body = self._object(self._patiently(lambda: self._send("GET", "/health/ready", away=())))
        return self._shaped(lambda: health_from(body))

    def _fetch(self, file: ResultFile, folder: Path) -> Path:
        name = "".join(c if c.isprintable() else "_" for c in PurePosixPath(file.file_name).name).strip(".") or "image"
        draft = folder / f".{name}.{secrets.token_hex(4)}.part"
        try:
            # The URL is the permission: the key is for our service alone, and the file may lie elsewhere.
            http, proxy = self._http_for(file.url)
            with http.stream("GET", file.url) as response, draft.open("xb") as target:
                if response.status_code != 200:
                    kind = ServiceAway if response.status_code in _AWAY else ClientError
                    raise kind(f"{name} cannot be fetched: the file store answered {response.status_code}.")
                for chunk in response.iter_bytes():
                    target.write(chunk)
            path = _take_free_name(folder / name)
            return draft.replace(path)
        except httpx2.TransportError as error:
            fault = fault_of(error, file.url, proxy) or f"{_why(error)}."
            raise ServiceAway(f"Fetching {name} broke off. {fault}") from error
        finally:
            draft.unlink(missing_ok=True)

    def _read(self, method: str, path: str) -> httpx2.Response:
        """For everything that may safely be sent twice."""
        return self._patiently(lambda: self._send(method, path))

    def _patiently(self, attempt: Callable[[], _Shape]) -> _Shape:
        give_up, backoff = time.monotonic() + self._patience, Backoff(initial=_INITIAL_BACKOFF, maximum=_MAX_BACKOFF)
        while True:
            try:
                return attempt()
            except ServiceAway:
                # One that never answered is not restarting: the address is wrong, or nobody has started it.
                if not self._has_answered or time.monotonic() >= give_up:
                    raise
                time.sleep(backoff.next())

    def _send(self, method: str, path: str, *, away: tuple[int, ...] = _AWAY, **rest: Any) -> httpx2.Response:
        http, proxy = self._http_for(self.base_url)
        try:
            response = http.request(method, self.base_url + path, headers=self._authorization, **rest)
        except httpx2.TransportError as error:
            if fault := fault_of(error, self.base_url, proxy):
                raise ServiceAway(f"The service at {self.base_url} cannot be reached. {fault}") from error
            # What accepted the connection and then said nothing is running: to start it would be wrong advice.
            is_unreachable = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            kind = Unreachable if is_unreachable else ServiceAway
            raise kind(f"The service at {self.base_url} does not answer: {_why(error)}.") from error
        if response.status_code == 401:
            raise KeyNotAccepted(_reasons(self._object(response)))
        if response.status_code in away:
            told = _told(response) or f"what answers{self._by()} does so with status {response.status_code}."
            raise ServiceAway(f"The service at {self.base_url} cannot work right now: {told}")
        self._has_answered = True
        return response

    def _http_for(self, url: str) -> tuple[httpx2.Client, Proxy | None]:
        """A client that reaches `url`, and the proxy that it uses."""
        try:
            proxy = proxy_for(url)
        except ProxyUnusable as error:
            raise ServiceAway(str(error)) from error
        http = self._by_proxy.get(proxy)
        if http is None:
            # With a transport of our own it asks the environment for certificates, and not for proxies.
            transport = httpx2.HTTPTransport(proxy=None if proxy is None else proxy.url)
            headers = {"User-Agent": f"pipelet-client/{__version__}"}
            http = httpx2.Client(transport=transport, timeout=self._timeout, headers=headers)
            self._by_proxy[proxy] = http
        return http, proxy

    def _found(self, response: httpx2.Response) -> httpx2.Response:
        if response.status_code == 404:
            raise UnknownRequest(_reasons(self._object(response)))
        return response

    def _object(self, response: httpx2.Response) -> dict[str, Any]:
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            fault = f"What answers at {self.base_url}{self._by()} is no Pipelet. Check the URL."
            raise ServiceAway((None if self._by() else fault_of_scheme(self.base_url)) or fault)
        return body

    def _by(self) -> str:
        """The proxy that passes answers on, if there is one: it may have given them itself."""
        _, proxy = self._http_for(self.base_url)
        return "" if proxy is None else f", by the {proxy},"

    def _shaped(self, read: Callable[[], _Shape]) -> _Shape:
        try:
            return read()
        except (KeyError, TypeError, ValueError) as error:
            raise ServiceAway(f"What answers at {self.base_url} does not speak like Pipelet. Check the URL.") from error


def _path(request_id: str) -> str:
    return f"/fal/queue/{ANY_APP}/requests/{quote(request_id, safe='')}"


def _reasons(body: dict[str, Any]) -> str:
    """What a refusal says: each fault with the field it is about."""
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


def _told(response: httpx2.Response) -> str:
    """What the service itself says; empty where the answer is not its own."""
    with contextlib.suppress(ValueError, AttributeError):
        return str(response.json().get("message", ""))
    return ""


def _why(error: httpx2.TransportError) -> str:
    return str(error) or type(error).__name__


def _take_free_name(path: Path) -> Path:
    """An empty file of this name, or of one with a number, that was not there before."""
    number, candidate = 1, path
    while True:
        try:
            candidate.touch(exist_ok=False)
        except FileExistsError:
            number += 1
            candidate = path.with_stem(f"{path.stem}-{number}")
        else:
            return candidate
