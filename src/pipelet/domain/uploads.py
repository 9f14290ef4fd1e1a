"""Images that users upload before a request names them."""

import re
from dataclasses import dataclass

from pipelet.domain.accounts.limits import UserQuota
from pipelet.domain.errors import QuotaExceeded, UploadLimitExceeded
from pipelet.domain.ids import new_token

MAX_BYTES = 20 * 1024 * 1024
MAX_UNUSED = 100
"""Maximum uploads of a user that no request has used."""
FOLDER = "uploads/"
"""Where the keys of their files begin."""
_KEY = re.compile(rf"{FOLDER}[0-9a-f]{{32}}\.[a-z]+")
CONTENT_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
}
"""By extension: formats that browsers show and that run no script, unlike SVG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    id: str
    user: str
    """No other user's requests may name it."""
    key: str
    """Its key in the blob store: random, because its URL is made of it."""
    size: int
    """Bytes."""
    expires_at: float
    """Seconds since the epoch."""
    is_used: bool = False
    """Whether a submit has read it."""


def new_upload_key(extension: str) -> str:
    return f"{FOLDER}{new_token()}.{extension}"


def is_upload_key(text: str) -> bool:
    """Whether `text`, which may hold what no database stores, can be the key of an upload."""
    return _KEY.fullmatch(text) is not None


def upload_refusal(size: int, quota: UserQuota, unused: int) -> QuotaExceeded | None:
    """Return the error of an upload of `size` bytes; None if there is room.

    Args:
        quota: what applies to the key that uploads.
        unused: uploads of the user that no request has used.
    """
    if full := quota.storage_refusal(size):
        return full
    if unused < MAX_UNUSED:
        return None
    return UploadLimitExceeded(
        f"Your user has {unused} uploads that no request has used, and {MAX_UNUSED} are the most. Use them, delete "
        "some (`DELETE /api/v1/uploads/<id>`), or wait until the oldest expire.",
        excess=unused + 1 - MAX_UNUSED,
    )
