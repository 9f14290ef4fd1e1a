"""Receivers of webhooks: real servers that keep what they get, and respond as a test wants."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.support.servers.web import Request, Response, WebServer, head, saying, slowly, whole, without_end


def verify(jwks: Mapping[str, Any], headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> bool:
    """As fal's own example in Python does it, down to the strict decoding of `x`, with another library for Ed25519."""
    request_id = headers["x-fal-webhook-request-id"]
    user_id = headers["x-fal-webhook-user-id"]
    timestamp = headers["x-fal-webhook-timestamp"]
    try:
        if abs(int(time.time() if now is None else now) - int(timestamp)) > 300:
            return False
        signature = bytes.fromhex(headers["x-fal-webhook-signature"])
    except ValueError:
        return False
    message = "\n".join([request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()]).encode("utf-8")
    for key in jwks["keys"]:
        try:
            public_key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"]))
            public_key.verify(signature, message)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


@dataclass
class Call:
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Receiver(WebServer):
    """Its response may be changed at any time."""

    def __init__(self, response: Response | None = None) -> None:
        super().__init__(self._take)
        self.response = response or status(200)
        self.calls: asyncio.Queue[Call] = asyncio.Queue()

    def _take(self, request: Request) -> Response:
        assert ("POST", "/hook") == (request.method, request.target)
        self.calls.put_nowait(Call(request.headers, request.body))
        return self.response

    @property
    def url(self) -> str:
        return f"{super().url}/hook"

    async def next_call(self) -> Call:
        return await asyncio.wait_for(self.calls.get(), 20)


def status(code: int, **headers: str) -> Response:
    return whole(b"", f"{code} So", **headers)


close_early = saying(b"HTTP/1.1 2")
"""In the middle of its first line."""

never_end = without_end(head(Content_Length=10**12), bytes(65536))
"""Acknowledges, and sends a body until the caller goes."""

trickle = slowly(b"HTTP/1.1 200 OK\r\n", [f"X-{number}: y\r\n".encode() for number in range(1000)], pause=0.02)
"""Headers without end, a little at a time, so that no single wait is long."""
