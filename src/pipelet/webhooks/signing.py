"""Signatures as endpoints for fal's webhooks verify them: Ed25519 over user, time and body."""

import hashlib
import string
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipelet.domain.webhooks.signing_keys import WebhookKey

_PLAIN = string.punctuation.replace("%", "")


def generate_keypair() -> tuple[bytes, bytes]:
    """Return a private key and its public key."""
    private = Ed25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def signed_headers(key: WebhookKey, *, request_id: str, user: str, now: float, body: bytes) -> dict[str, str]:
    """Return the headers of a call made now: endpoints reject signatures older than five minutes."""
    # A header carries ASCII without spaces at its ends; the signature covers the value that the endpoint reads.
    user_id, timestamp = quote(user, safe=_PLAIN), str(int(now))
    message = "\n".join([request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()])
    signature = Ed25519PrivateKey.from_private_bytes(key.private).sign(message.encode())
    return {
        "X-Fal-Webhook-Request-Id": request_id,
        "X-Fal-Webhook-User-Id": user_id,
        "X-Fal-Webhook-Timestamp": timestamp,
        "X-Fal-Webhook-Signature": signature.hex(),
    }
