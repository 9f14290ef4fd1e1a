"""The public keys that our webhooks are checked with."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from pipelet.api.parts import parts_of
from pipelet.api.problems import json_response
from pipelet.domain.webhook_keys import WebhookKey

_HEADERS = {"Cache-Control": "public, max-age=3600"}


async def published_keys(request: Request) -> Response:
    """Anybody may read them."""
    return json_response(200, await parts_of(request).webhook_keys.get(), _HEADERS)


def jwks(keys: Sequence[WebhookKey]) -> dict[str, Any]:
    """With padding, against the standard: fal's own example decodes `x` so strictly that it needs it."""
    common = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"}
    return {"keys": [{**common, "kid": key.id, "x": urlsafe_b64encode(key.public).decode()} for key in keys]}
