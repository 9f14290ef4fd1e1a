"""Fetch the bytes of an input image: from a data: URI, an upload, the service's own files, or a remote server."""

import asyncio
import base64
import binascii
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, unquote_to_bytes, urlsplit

import httpx2

from pipelet.domain.errors import AddressNotAllowed, InvalidImage, InvalidKey, NotFound
from pipelet.domain.ports.blobs import BlobStore, SignedFiles
from pipelet.domain.ports.clock import Clock
from pipelet.domain.uploads import FOLDER, MAX_BYTES
from pipelet.services.input_images.uploads import Uploads

_MAX_OWN_BYTES = 64 * 1024 * 1024
"""Limit for the service's own files: the size of the largest generated image."""
_HEADERS = {"Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity"}
_BLANKS = b" \t\r\n"
_PROBE = "outputs/_"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpClients:
    """Clients for URLs that users send."""

    public: httpx2.AsyncClient
    """Raises AddressNotAllowed for an address that is neither public nor allowed."""
    storage: httpx2.AsyncClient
    """For URLs of the service's own bucket, which may have a private address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFetcher:
    http_clients: HttpClients | None
    """None: only `data:` URIs and files on the local disk are read."""
    blobs: BlobStore
    signed_files: SignedFiles | None
    uploads: Uploads
    clock: Clock

    async def read(self, url: str, *, user: str, base_url: str) -> bytes:
        """The bytes at `url`. The caller sets the timeout.

        Args:
            base_url: The address of this service, as the client knows it.

        Raises:
            InvalidImage: the file cannot be fetched, or is too large.
            TooManyLookups: no name was looked up; a retry may work.
        """
        if url[:5].lower() == "data:":
            return await asyncio.to_thread(_decode_data_uri, url)
        own = self.blobs.signed_url(_PROBE, now=self.clock.now(), base_url=base_url).partition(_PROBE)[0]
        if url.startswith(own + FOLDER):
            # The user decides, not the signature: it may have expired before the upload.
            return await self.uploads.read(_key_in(url, own), user=user)
        if self.signed_files is not None and url.startswith(own):
            # Not over HTTP: this process may not reach its own public address, which may also be a private one.
            return await self._read_own(self.signed_files, url, own)
        if self.http_clients is None:
            raise InvalidImage("file_download_error", "URLs are not fetched here. Send the image as a data: URI.")
        if url.startswith(own) and ".." not in unquote(url):
            # In the service's bucket the signature decides. The operator chose the server, which may be private.
            return await _download(self.http_clients.storage, url, user=user, max_bytes=_MAX_OWN_BYTES)
        return await _download(self.http_clients.public, url, user=user, max_bytes=MAX_BYTES)

    async def _read_own(self, files: SignedFiles, url: str, prefix: str) -> bytes:
        parts = urlsplit(url)
        key = _key_in(url, prefix)
        query = parse_qs(parts.query)
        expires, signature = (query.get(name, [""])[0] for name in ("expires", "signature"))
        try:
            files.verify(key, expires, signature, now=self.clock.now())
            data = await self.blobs.get(key)
        except (InvalidKey, NotFound) as error:
            raise InvalidImage("file_download_error", str(error)) from error
        if len(data) > _MAX_OWN_BYTES:
            raise _too_large(_MAX_OWN_BYTES)
        return data


def _key_in(url: str, prefix: str) -> str:
    """The key of one of our own files, in a URL that begins with `prefix`."""
    return unquote(url.partition("?")[0].partition("#")[0].removeprefix(prefix))


def _decode_data_uri(url: str) -> bytes:
    head, comma, text = url.partition(",")
    if not comma:
        raise InvalidImage("file_download_error", "A data: URI needs a comma before its data.")
    is_base64 = head.lower().endswith(";base64")
    if len(text) > MAX_BYTES * (2 if is_base64 else 3):
        raise _too_large(MAX_BYTES)
    try:
        data = _from_base64(text) if is_base64 else unquote_to_bytes(text)
    except (binascii.Error, ValueError) as error:
        message = f"The data of this data: URI is not {'Base64' if is_base64 else 'text'}."
        raise InvalidImage("file_download_error", message) from error
    if len(data) > MAX_BYTES:
        raise _too_large(MAX_BYTES)
    return data


def _from_base64(text: str) -> bytes:
    data = unquote_to_bytes(text) if "%" in text else text.encode("ascii")
    data = data.translate(None, _BLANKS)  # many times faster than a regular expression, which would block other threads
    return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)


async def _download(client: httpx2.AsyncClient, url: str, *, user: str, max_bytes: int) -> bytes:
    try:
        async with client.stream("GET", url, headers=_HEADERS, extensions={"pipelet_user": user}) as response:
            return await _read_body(response, max_bytes)
    except AddressNotAllowed as error:
        raise InvalidImage("file_download_error", str(error)) from error
    except httpx2.TooManyRedirects as error:
        message = f"The server redirects more than {client.max_redirects} times."
        raise InvalidImage("file_download_error", message) from error
    except httpx2.TimeoutException as error:
        raise InvalidImage("file_download_error", "The server did not reply in time.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise InvalidImage("file_download_error", f"The download failed: {_describe(error)}") from error


async def _read_body(response: httpx2.Response, max_bytes: int) -> bytes:
    if response.status_code != 200:
        message = f"The server returned {response.status_code} {response.reason_phrase}".rstrip() + "."
        raise InvalidImage("file_download_error", message)
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        # A few bytes could become gigabytes in one step.
        raise InvalidImage("file_download_error", "The server compresses the file, which the request forbids.")
    announced = response.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> InvalidImage:
    message = f"The file is larger than {max_bytes // 1024**2} MiB."
    return InvalidImage("file_too_large", message, max_size=max_bytes)


def _describe(error: Exception) -> str:
    words = " ".join(str(error).split())[:200] or type(error).__name__
    return words if words.endswith(".") else f"{words}."
