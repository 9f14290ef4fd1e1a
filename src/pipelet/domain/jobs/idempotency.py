"""Keys that make a submit safe to repeat: a client that lost the response sends it again, and gets the same request."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TTL_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """What `key` of `user` stands for until `expires_at`."""

    user: str
    key: str
    fingerprint: str
    """Hash of the request: see `fingerprint_of`."""
    job_id: str
    expires_at: float


def fingerprint_of(app: str, fields: Mapping[str, Any], webhook: str | None) -> str:
    """Hash of a request that does not depend on how its JSON is written: order, spaces and nulls do not count.

    `fields` are those of an input that was found to be good: any JSON may be nested too deeply.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    return hashlib.sha256(json.dumps([app, webhook, given], sort_keys=True).encode()).hexdigest()
