"""A small synchronous client of the API. The command line uses it, too.

    with Client("http://127.0.0.1:8000", key) as client:
        submitted = client.submit("z-image-text-to-image", prompt="a red apple")
        client.wait(submitted.request_id)
        files = client.download(client.result(submitted.request_id), Path("."))

What it returns and raises is in `client_types`.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import httpx2

from pipelet.client.connection import RETRIED_STATUSES, Connection, error_reason, reasons
from pipelet.client_types import (
    BulkResult,
    ClientError,
    Conflict,
    Health,
    NotCancellable,
    NotReady,
    RequestFailed,
    RequestNotFound,
    RequestPage,
    Result,
    ResultFile,
    ServiceUnavailable,
    Status,
    Submitted,
    Upload,
    ValidationError,
)
from pipelet.proxies import fault_of

ANY_APP = "z-image-text-to-image"
"""Every request can be read under any app's path, so reads need not know its app."""
_REQUESTS = "/api/v1/requests"
_UPLOADS = "/api/v1/uploads"


class Client(Connection):
    """A client of one service. It retries reads while a service that has responded before is unavailable, because the
    service is probably restarting. Proxies of the environment apply to servers on the internet; see `network`.

    Args:
        base_url: such as `https://api.example.com`.
        key: an API key; `health` works without one.
        retry_timeout: seconds for which reads are retried.
        timeout: seconds after which a connection without data fails.
        ca_file: certificates, in PEM, to trust in addition to the system's.
    """

    def submit(self, app: str, **fields: Any) -> Submitted:
        """Submit a request. It is sent once only: if the response is lost, the request may exist all the same.

        Raises:
            ValidationError: the message has every reason.
            ServiceUnavailable, AuthenticationError.
        """
        response = self._send("POST", f"/fal/queue/{app}", json=fields)
        body = self._object(response)
        if response.status_code != 200:
            raise ValidationError(reasons(body))
        with self._parsing():
            return Submitted(request_id=body["request_id"], queue_position=body["queue_position"], body=body)

    def upload(self, image: Path | str | bytes, *, expires_in: int | None = None) -> Upload:
        """Upload an image, whose URL your requests then take in `image_urls`.

        Args:
            image: the path of a file, or its content.
            expires_in: seconds for which it is kept, if that is less than the service's retention time.

        Raises:
            OSError: the file cannot be read.
            ValidationError: it is no image that the service takes, or there is no room.
            ServiceUnavailable, AuthenticationError.
        """
        content = image if isinstance(image, bytes) else Path(image).read_bytes()
        params = {} if expires_in is None else {"expires_in": expires_in}
        body = self._own(self._send("POST", _UPLOADS, content=content, params=params))
        with self._parsing():
            return Upload(id=body["id"], url=body["url"], expires_at=body["expires_at"])

    def delete_upload(self, upload_id: str) -> None:
        """Delete an upload. Requests that have used it keep their copies.

        Raises:
            RequestNotFound: you have no such upload.
            ServiceUnavailable, AuthenticationError.
        """
        self._own(self._send("DELETE", f"{_UPLOADS}/{quote(upload_id, safe='')}"))

    def apps(self) -> Sequence[Mapping[str, Any]]:
        """Return the apps of the service, each as the service sends it."""
        body = self._own(self._with_retry(lambda: self._send("GET", "/api/v1/apps")))
        with self._parsing():
            return tuple(body["items"])

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
            raise NotReady(reasons(body))
        if response.status_code != 200:
            raise RequestFailed(reasons(body), str(body.get("error_type", "")))
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
            too_late = NotCancellable(reasons(body))
            too_late.is_running = body.get("status") == "ALREADY_IN_PROGRESS"
            raise too_late

    def requests(self, *, limit: int = 50, after: str | None = None, **criteria: Any) -> RequestPage:
        """Return a page of your requests, newest first.

        Args:
            after: the `next` of the page before.
            criteria: `app`, `state`, `q`, `since`, `until`, `error_type`, `retried`; for operators also `user` (`*` is
                every user), `key`, `worker` and `priority`. None leaves one out.

        Raises:
            ValidationError, ServiceUnavailable, AuthenticationError.
        """
        given = {"limit": limit, "after": after, **criteria}
        params = {name: value for name, value in given.items() if value is not None}
        body = self._own(self._with_retry(lambda: self._send("GET", _REQUESTS, params=params)))
        with self._parsing():
            return RequestPage(items=tuple(body["items"]), next=body["next"])

    def request(self, request_id: str) -> Mapping[str, Any]:
        """Return all that is known of a request. Raises as `delete`."""
        path = f"{_REQUESTS}/{quote(request_id, safe='')}"
        return self._own(self._with_retry(lambda: self._send("GET", path)))

    def keep(self, request_id: str, *, kept: bool = True) -> None:
        """Keep a request and its files from retention, or stop keeping it.

        Raises:
            ValidationError: there is no room for files that stay.
            RequestNotFound, ServiceUnavailable, AuthenticationError.
        """
        self._own(self._send("PATCH", f"{_REQUESTS}/{quote(request_id, safe='')}", json={"keep": kept}))

    def preview(self, request_id: str) -> bytes | None:
        """Return an estimate of an image of a running request, as WebP; None if there is none at present.

        The worker makes previews while a client asks for them, and at most two a second. Raises as `delete`.
        """
        path = f"{_REQUESTS}/{quote(request_id, safe='')}/preview"
        response = self._with_retry(lambda: self._send("GET", path))
        if response.status_code >= 400:
            self._own(response)
        return response.content if response.status_code == 200 else None

    def delete(self, request_id: str) -> None:
        """Delete a request and its files; a queued one is cancelled first.

        Raises:
            Conflict: it is running.
            RequestNotFound, ServiceUnavailable, AuthenticationError.
        """
        self._own(self._send("DELETE", f"{_REQUESTS}/{quote(request_id, safe='')}"))

    def act_on_requests(self, action: str, **selection: Any) -> BulkResult:
        """Cancel, delete or retry many requests.

        Args:
            action: `cancel`, `delete` or `retry`.
            selection: `ids`, or `filter` (the criteria of `requests`) and `expect`, the number that it finds.

        Raises:
            Conflict: the filter finds another number; nothing was done.
            ValidationError, ServiceUnavailable, AuthenticationError.
        """
        body = self._own(self._send("POST", f"{_REQUESTS}/{action}", json=selection, timeout=None))
        with self._parsing():
            return BulkResult(done=body["done"], skipped=body["skipped"])

    def download(self, result: Result, folder: Path) -> list[Path]:
        """Save all files under their own names, each whole or not at all. A taken name gets a number: `a-2.png`."""
        folder.mkdir(parents=True, exist_ok=True)
        return [self._with_retry(lambda file=file: self._fetch(file, folder)) for file in result.files]  # type: ignore[misc]

    def usage(
        self,
        *,
        first: date | None = None,
        last: date | None = None,
        by: Sequence[str] = ("day", "app"),
        user: str | None = None,
    ) -> Mapping[str, Any]:
        """Return what requests cost, as the service sends it: `items`, and their `total`.

        Args:
            first, last: UTC days, both included; by default the last 30 days.
            by: any of `day`, `user`, `key` and `app`.
            user: requests of this user only; None for all that the key may observe.

        Raises:
            ValidationError, ServiceUnavailable, AuthenticationError.
        """
        given = {"from": first, "to": last, "by": ",".join(by), "user": user}
        query = {name: str(value) for name, value in given.items() if value is not None}
        return self._own(self._with_retry(lambda: self._send("GET", "/api/v1/usage", params=query)))

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
                    kind = ServiceUnavailable if response.status_code in RETRIED_STATUSES else ClientError
                    raise kind(f"Fetching {name} failed: the file store responded with {response.status_code}.")
                for chunk in response.iter_bytes():
                    target.write(chunk)
            path = _unique_path(folder / name)
            return draft.replace(path)
        except httpx2.TransportError as error:
            fault = fault_of(error, file.url, proxy) or f"{error_reason(error)}."
            raise ServiceUnavailable(f"Fetching {name} was interrupted. {fault}") from error
        finally:
            draft.unlink(missing_ok=True)

    def _call(self, method: str, request_id: str, route: str = "") -> httpx2.Response:
        """Send a call about a request, which may safely be sent twice."""
        path = f"/fal/queue/{ANY_APP}/requests/{quote(request_id, safe='')}{route}"
        response = self._with_retry(lambda: self._send(method, path))
        if response.status_code == 404:
            raise RequestNotFound(reasons(self._object(response)))
        return response

    def _own(self, response: httpx2.Response) -> dict[str, Any]:
        """Return the body of a response of Pipelet's own API, or raise the error that it is."""
        body = {} if response.status_code == 204 else self._object(response)
        if response.status_code == 404:
            raise RequestNotFound(reasons(body))
        if response.status_code == 409:
            conflict = Conflict(reasons(body))
            conflict.count = body.get("count")
            raise conflict
        if response.status_code >= 400:
            raise ValidationError(reasons(body))
        return body


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
