"""The public keys that verify webhooks."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.errors import json_response
from pipelet.api.routing import Handler
from pipelet.concurrency.cached_value import CachedValue
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.outbox import Outbox
from pipelet.domain.webhooks.signing_keys import WebhookKey, published_keys

_HEADERS = {"Cache-Control": "public, max-age=3600"}


def serve_published_keys(outbox: Outbox, clock: Clock) -> Handler:
    """The route that serves them, without authentication."""

    async def read() -> Mapping[str, Any]:
        return jwks(published_keys(await outbox.keys(), clock.now()))

    keys = CachedValue(read, ttl_seconds=2.0, now=clock.now)

    async def get(_: Request) -> Response:
        return json_response(200, await keys.get(), _HEADERS)

    return get


def jwks(keys: Sequence[WebhookKey]) -> dict[str, Any]:
    """A JSON Web Key Set. Unlike the standard, `x` is padded: fal's own example decodes it strictly."""
    common = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"}
    return {"keys": [{**common, "kid": key.id, "x": urlsafe_b64encode(key.public).decode()} for key in keys]}
