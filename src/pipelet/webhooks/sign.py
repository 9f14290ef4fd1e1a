"""Signatures as the receivers of fal's webhooks check them: Ed25519 over who, when and what."""

import hashlib
import string
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipelet.domain.webhook_keys import WebhookKey

_PLAIN = string.punctuation.replace("%", "")


def new_pair() -> tuple[bytes, bytes]:
    """A private key and its public one."""
    private = Ed25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def signed_headers(key: WebhookKey, *, request_id: str, user: str, now: float, body: bytes) -> dict[str, str]:
    """Of a call that is made now: receivers refuse signatures that are older than five minutes."""
    # A header carries ASCII, and no spaces at its ends; what is signed is what the receiver reads there.
    user_id, timestamp = quote(user, safe=_PLAIN), str(int(now))
    message = "\n".join([request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()])
    signature = Ed25519PrivateKey.from_private_bytes(key.private).sign(message.encode())
    return {
        "X-Fal-Webhook-Request-Id": request_id,
        "X-Fal-Webhook-User-Id": user_id,
        "X-Fal-Webhook-Timestamp": timestamp,
        "X-Fal-Webhook-Signature": signature.hex(),
    }
