"""The bytes behind a URL of a user's: from the URL itself, from our own files, or from a stranger's server."""

import asyncio
import base64
import binascii
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, unquote_to_bytes, urlsplit

import httpx2

from pipelet.api.local_files import LocalFiles
from pipelet.api.pictures import PictureRefused
from pipelet.domain.errors import AddressRefused, KeyRefused, NotFound
from pipelet.domain.ports import BlobStore, Clock

MAX_BYTES = 20 * 1024 * 1024
_MAX_OWN_BYTES = 64 * 1024 * 1024
"""Of what we drew ourselves: as large as the largest picture gets."""
_HEADERS = {"Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity"}
_BLANKS = b" \t\r\n"
_PROBE = "outputs/_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetchers:
    """Clients for URLs that users send."""

    strangers: httpx2.AsyncClient
    """Raises AddressRefused for what is neither public nor allowed."""
    storage: httpx2.AsyncClient
    """For URLs of our own bucket, wherever that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloads:
    fetchers: Fetchers | None
    """None: only `data:` URIs and files of our own disk are read."""
    blobs: BlobStore
    local_files: LocalFiles | None
    clock: Clock

    async def read(self, url: str, *, user: str, base_url: str) -> bytes:
        """`base_url` is our own address. How long it may take is the caller's to bound.

        Raises:
            PictureRefused: the file cannot be had, or is too large.
            TooManyLookups: try again later.
        """
        if url[:5].lower() == "data:":
            return await asyncio.to_thread(_decoded, url)
        ours = self._prefix_of_ours(base_url)
        if self.local_files is not None and url.startswith(ours):
            # Not over HTTP: we may be behind a proxy that we cannot reach, and at an address that is not public.
            return await self._read_ours(self.local_files, url, ours)
        if self.fetchers is None:
            raise PictureRefused("file_download_error", "URLs are not fetched here. Send the picture as a data: URI.")
        if url.startswith(ours) and ".." not in unquote(url):
            # In our bucket, where the signature is what counts. The operator named the server, which may be private.
            return await _download(self.fetchers.storage, url, user=user, max_bytes=_MAX_OWN_BYTES)
        return await _download(self.fetchers.strangers, url, user=user, max_bytes=MAX_BYTES)

    def _prefix_of_ours(self, base_url: str) -> str:
        return self.blobs.url(_PROBE, now=self.clock.now(), base_url=base_url).partition(_PROBE)[0]

    async def _read_ours(self, files: LocalFiles, url: str, prefix: str) -> bytes:
        parts = urlsplit(url)
        key = unquote(url.partition("?")[0].partition("#")[0].removeprefix(prefix))
        query = parse_qs(parts.query)
        expires, signature = (query.get(name, [""])[0] for name in ("expires", "signature"))
        try:
            files.verify(key, expires, signature, now=self.clock.now())
            data = await self.blobs.get(key)
        except (KeyRefused, NotFound) as error:
            raise PictureRefused("file_download_error", str(error)) from error
        if len(data) > _MAX_OWN_BYTES:
            raise _too_large(_MAX_OWN_BYTES)
        return data


def _decoded(url: str) -> bytes:
    head, comma, text = url.partition(",")
    if not comma:
        raise PictureRefused("file_download_error", "A data: URI needs a comma before its data.")
    is_base64 = head.lower().endswith(";base64")
    if len(text) > MAX_BYTES * (2 if is_base64 else 3):
        raise _too_large(MAX_BYTES)
    try:
        data = _from_base64(text) if is_base64 else unquote_to_bytes(text)
    except (binascii.Error, ValueError) as error:
        message = f"The data of this data: URI is not {'Base64' if is_base64 else 'text'}."
        raise PictureRefused("file_download_error", message) from error
    if len(data) > MAX_BYTES:
        raise _too_large(MAX_BYTES)
    return data


def _from_base64(text: str) -> bytes:
    data = unquote_to_bytes(text) if "%" in text else text.encode("ascii")
    data = data.translate(None, _BLANKS)  # many times as quick as a regular expression, which all others wait for
    return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)


async def _download(client: httpx2.AsyncClient, url: str, *, user: str, max_bytes: int) -> bytes:
    try:
        async with client.stream("GET", url, headers=_HEADERS, extensions={"pipelet_user": user}) as answer:
            return await _body(answer, max_bytes)
    except AddressRefused as error:
        raise PictureRefused("file_download_error", str(error)) from error
    except httpx2.TooManyRedirects as error:
        message = f"The server redirects more than {client.max_redirects} times."
        raise PictureRefused("file_download_error", message) from error
    except httpx2.TimeoutException as error:
        raise PictureRefused("file_download_error", "The server does not answer in time.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise PictureRefused("file_download_error", f"The download failed: {_in_words(error)}") from error


async def _body(answer: httpx2.Response, max_bytes: int) -> bytes:
    if answer.status_code != 200:
        message = f"The server answered {answer.status_code} {answer.reason_phrase}".rstrip() + "."
        raise PictureRefused("file_download_error", message)
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        # A few bytes could become gigabytes in one step.
        raise PictureRefused("file_download_error", "The server compresses the file although it was asked not to.")
    announced = answer.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> PictureRefused:
    message = f"The file is larger than {max_bytes // 1024**2} MiB."
    return PictureRefused("file_too_large", message, max_size=max_bytes)


def _in_words(error: Exception) -> str:
    words = " ".join(str(error).split())[:200] or type(error).__name__
    return words if words.endswith(".") else f"{words}."
