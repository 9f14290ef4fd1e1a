"""API keys as rows."""

from dataclasses import asdict
from typing import Any

from pipelet.domain.accounts.api_keys import LIMIT_NAMES, ApiKey, KeyLimits
from pipelet.store.rows import Row


def api_key_from(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        user=row["owner"],
        hash=bytes(row["hash"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        max_priority=row["max_priority"],
        max_queued_images=row["max_queued_images"],
        max_running_images=row["max_running_images"],
    )


def api_key_columns(key: ApiKey) -> dict[str, Any]:
    """Return the columns of a new row; `user` is a reserved word of SQL."""
    columns = asdict(key)
    columns["owner"] = columns.pop("user")
    return columns


def limit_columns(limits: KeyLimits) -> dict[str, Any]:
    """Return each limit, and whether it is to be written."""
    values = {name: limits.get(name) for name in LIMIT_NAMES}
    return values | {f"set_{name}": name in limits for name in LIMIT_NAMES}
