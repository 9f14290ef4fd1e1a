"""Responses that the server itself sends to input that never becomes a request of the application."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Refusal:
    """A response with an error; `message` names the problem, then the fix."""

    status: int
    message: str


class Refused(Exception):
    """Stops the parser. Each raise makes a new one, because an exception keeps the frames that it was raised in."""


MALFORMED = Refusal(400, "This is not a valid HTTP/1.1 request. Send one that follows RFC 9112.")
PIPELINED = Refusal(400, "Too many requests wait on one connection. Read the responses before you send more.")
HOST = Refusal(400, "The request has no Host header, or several. Send exactly one.")
FRAMING = Refusal(400, "The chunked body has too little content for its size. Send larger chunks, without extensions.")
CONNECT = Refusal(405, "CONNECT is not allowed, because this is not a proxy. Send the request itself.")
LATE = Refusal(408, "The headers did not arrive in time. Send the request again.")
STALLED = Refusal(408, "The body did not arrive in time. Send the request again.")
BUSY = Refusal(503, "There are too many connections. Try again in a few seconds.")


def url_too_long(max_bytes: int) -> Refusal:
    return Refusal(414, f"The URL is longer than {max_bytes} bytes. Send long values in the body.")


def head_too_large(max_bytes: int, max_headers: int) -> Refusal:
    return Refusal(431, f"The headers are too large. Send at most {max_headers}, of {max_bytes} bytes with the URL.")


def response_bytes(refusal: Refusal, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of the response; the connection is closed after it."""
    body = json.dumps({"detail": refusal.message, "message": refusal.message}).encode()
    head = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        *(f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in default_headers),
        "content-type: application/json",
        f"content-length: {len(body)}",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "connection: close",
    ]
    if refusal.status == 503:
        head.append("retry-after: 5")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body
