"""Files in an S3 bucket, fetched from there under presigned URLs."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from pipelet.domain.errors import BlobStoreError, NotFound
from pipelet.proxies import Proxy

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

_TIMEOUT = 20.0
"""Seconds that an answer may take."""
_MIN_UPLOAD_RATE = 100_000
"""Bytes a second that an upload has to make: a batch's files share the line."""
_MAX_FILE_BYTES = 50_000_000
"""Bytes of a file that is read back, about."""
_MAX_LIFETIME = 7 * 86_400.0
"""Seconds: S3 signs no URL for longer."""
_PIECE_BYTES = 1024 * 1024
_CHECK_SECONDS = 3.0
_CONNECT_SECONDS = 5.0
_PROBE = ".pipelet-check"

_EVERYTHING = "*,0.0.0.0/0,::/0"
_METADATA = "169.254.0.0/16,fd00:ec2::/32"
"""Where machines and containers at AWS ask for the keys of their role: no proxy can answer for these."""

_CODE = re.compile(r"<Code>(\w+)</Code>")
_WRONG_REGION = "The bucket {bucket} is in another region. Set AWS_REGION to its own."
_EXPIRED = "{where} does not take the session token any more. Renew AWS_SESSION_TOKEN and its keys, and restart."
_BUSY = "{where} is busy or has a fault of its own. Storing is retried."
_FULL = "{where} is full. Free some space there; storing is retried."
_ADVICE_BY_CODE = {
    "AccessDenied": (
        "{where} refuses this access key the bucket {bucket}. The key needs s3:PutObject, s3:GetObject and "
        "s3:DeleteObject on what is below the prefix."
    ),
    "AuthorizationHeaderMalformed": _WRONG_REGION,
    "ExpiredToken": _EXPIRED,
    "IllegalLocationConstraintException": _WRONG_REGION,
    "InsufficientStorage": _FULL,
    "InternalError": _BUSY,
    "InvalidAccessKeyId": "{where} does not know the access key. Check AWS_ACCESS_KEY_ID.",
    "InvalidToken": _EXPIRED,
    "NoSuchBucket": "{where} has no bucket {bucket}. Make it, or name another: PIPELET_BLOBS_URL.",
    "PermanentRedirect": _WRONG_REGION,
    "QuotaExceeded": _FULL,
    "RequestTimeTooSkewed": "{where} has another time than this machine. Set the clock of this machine, best by NTP.",
    "ServiceUnavailable": _BUSY,
    "SignatureDoesNotMatch": "The secret does not belong to the access key. Check AWS_SECRET_ACCESS_KEY.",
    "SlowDown": _BUSY,
    "XMinioStorageFull": _FULL,
}
"""By the code in a server's answer."""
_NO_KEYS = (
    "There are no keys for {where}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role."
)
_OTHER = "{where} did not do what was asked of it:"
_NO_RESPONSE = "{where} does not answer in time. Storing is retried."
_ADVICE_BY_MESSAGE = {
    # Where machines and containers at AWS ask for the keys of their role.
    "/latest/api/token": _NO_KEYS,
    "//169.254.": _NO_KEYS,
    "dns error": "The name of {where} is not known. Check AWS_ENDPOINT_URL and the network.",
    "InvalidCertificate": (
        "{where} has a certificate that this machine does not trust. Name the one that signed it: SSL_CERT_FILE."
    ),
    "InvalidContentType": "{where} does not speak TLS. Write http:// in AWS_ENDPOINT_URL, or check its port.",
    "LOCATION": _WRONG_REGION,
    "kind: Connect,": "{where} cannot be reached. Check AWS_ENDPOINT_URL, and that the server runs.",
    "kind: Timeout,": _NO_RESPONSE,
    "SendRequest": "The connection to {where} broke off. Storing is retried.",
}
"""By what obstore says where no server answered, or none that speaks S3: the first that fits."""


class S3BlobStore:
    """Implements `domain.ports.BlobStore`.

    Without `access_key_id` the keys are those of this machine's or container's role. obstore finds them by itself, and
    reads the variables that AWS sets for that; everything else it needs is handed in.

    Args:
        prefix: below which the files are stored; may be empty.
        endpoint: of the server, with its scheme; empty is AWS.
        public_endpoint: the same, as clients reach it, who fetch files from there.
        virtual_hosted: the bucket is part of the host's name, not of the path.
        session_token: of temporary keys; may be empty.
        url_ttl_seconds: how long URLs are good; no longer than the keys are, where those are temporary.
        proxy: by which the server is reached; that of the environment is not asked for.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str,
        region: str,
        endpoint: str,
        public_endpoint: str,
        virtual_hosted: bool,
        access_key_id: str,
        secret_access_key: str,
        session_token: str,
        url_ttl_seconds: float,
        proxy: Proxy | None = None,
    ) -> None:
        config: S3Config = {
            "region": region,
            "virtual_hosted_style_request": virtual_hosted,
            "disable_bulk_delete": True,  # not every server has that call
        }
        if access_key_id:
            config |= {"access_key_id": access_key_id, "secret_access_key": secret_access_key}
        if session_token:
            config["session_token"] = session_token
        # The timeout of an upload depends on its size: `_request` sets it. Signing needs no server, except now and then
        # for the keys of a role, which blocks the event loop.
        self._store = _open(bucket, prefix, endpoint, config, proxy=proxy, seconds=3600.0)
        self._signer = _open(bucket, prefix, public_endpoint, config, proxy=proxy, seconds=_CHECK_SECONDS)
        self._bucket = bucket
        self._where = f"the S3 server {endpoint}" if endpoint else "S3"
        if proxy is not None:
            self._where += f" (by the {proxy})"
        self._lifetime = timedelta(seconds=int(url_ttl_seconds))

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        async with self._request(_TIMEOUT + len(data) / _MIN_UPLOAD_RATE):
            # In one piece: an upload in parts that breaks off leaves invisible parts behind that cost money.
            await obstore.put_async(
                self._store,
                key,
                data,
                attributes={"Content-Type": content_type, "Content-Disposition": _disposition(key)},
                use_multipart=False,
            )

    async def get(self, key: str) -> bytes:
        async with self._request(_TIMEOUT + _MAX_FILE_BYTES / _MIN_UPLOAD_RATE):
            try:
                found = await obstore.get_async(self._store, key)
                return bytes(await found.bytes_async())
            except FileNotFoundError as error:  # also where the bucket is missing, or something else answers
                if _code(error) != "NoSuchKey":
                    raise
                raise NotFound("This file is no longer stored.") from error

    async def stream(self, key: str) -> AsyncGenerator[bytes]:
        # By ranges: the stream of one response would break off when its reader takes longer than the server waits.
        begin, end = 0, 1
        while begin < end:
            piece, end = await self._get_piece(key, begin)
            begin += len(piece)
            yield piece

    async def _get_piece(self, key: str, begin: int) -> tuple[bytes, int]:
        """Return a piece of a file, and the size of the whole."""
        async with self._request(_TIMEOUT):
            try:
                found = await obstore.get_async(self._store, key, options={"range": (begin, begin + _PIECE_BYTES)})
                return bytes(await found.bytes_async()), found.meta["size"]
            except FileNotFoundError as error:  # also where the bucket is missing, or something else answers
                if _code(error) != "NoSuchKey":
                    raise
                raise NotFound("This file is no longer stored.") from error

    def signed_url(self, key: str, *, now: float, base_url: str, seconds: float | None = None) -> str:
        """Signed at this machine's time, which is `now` outside of tests. Clients do not come by `base_url`."""
        lifetime = self._lifetime if seconds is None else timedelta(seconds=int(min(seconds, _MAX_LIFETIME)))
        try:
            return obstore.sign(self._signer, "GET", key, lifetime)
        except BaseError as error:
            raise BlobStoreError(self._advice(error)) from error

    async def delete(self, key: str) -> None:
        async with self._request(_TIMEOUT):
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError as error:  # also where the bucket is missing, or something else answers
                if _code(error) != "NoSuchKey":
                    raise

    async def check(self) -> None:
        """Store a few bytes, always under the same name: nothing less shows that storing works."""
        async with self._request(_CHECK_SECONDS):
            await obstore.put_async(self._store, _PROBE, b"Can this be stored?", use_multipart=False)

    @contextlib.asynccontextmanager
    async def _request(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise BlobStoreError(self._format(_NO_RESPONSE)) from error
        except (BaseError, FileNotFoundError) as error:
            raise BlobStoreError(self._advice(error)) from error

    def _advice(self, error: Exception) -> str:
        code, text = _code(error), str(error)
        advice = _ADVICE_BY_CODE.get(code) or next(
            (advice for words, advice in _ADVICE_BY_MESSAGE.items() if words in text), None
        )
        if advice is None:
            return f"{self._format(_OTHER)} {code or text.splitlines()[0]}."
        return self._format(advice)

    def _format(self, advice: str) -> str:
        text = advice.format(where=self._where, bucket=self._bucket)
        return text[0].upper() + text[1:]


def _disposition(key: str) -> str:
    """How browsers show the file: the API sends the same for files on its disk."""
    name = key.rpartition("/")[2]
    if quote(name) == name:
        return f'inline; filename="{name}"'
    return f"inline; filename*=utf-8''{quote(name)}"


def _code(error: Exception) -> str:
    """What S3 calls the fault; empty where no S3 server said so."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def _open(
    bucket: str, prefix: str, endpoint: str, config: "S3Config", *, proxy: Proxy | None, seconds: float
) -> S3Store:
    """`seconds` is how long any one request may take."""
    if endpoint:
        parts = urlsplit(endpoint)
        if config["virtual_hosted_style_request"]:
            # Unlike other clients, obstore expects the bucket in the endpoint.
            parts = parts._replace(netloc=f"{bucket}.{parts.netloc}")
        config = config | {"endpoint": parts.geturl()}
    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "timeout": timedelta(seconds=seconds),
        # Where it is given no proxy it takes the environment's, so it is given one and told not to use it.
        "proxy_url": "http://proxy.invalid" if proxy is None else proxy.url,
        "proxy_excludes": _EVERYTHING if proxy is None else _METADATA,
    }
    # The caller retries, decides how often, and logs it. If obstore retried as well, by default for three minutes, the
    # log would not tell for as long that the server is unavailable.
    return S3Store(
        bucket, prefix=prefix or None, config=config, client_options=options, retry_config={"max_retries": 0}
    )
