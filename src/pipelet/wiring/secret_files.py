"""Secrets that this machine generates, in files that only their owner can read."""

import contextlib
import os
import secrets
from pathlib import Path

from pipelet.domain.errors import OperationalError
from pipelet.system.permissions import Permissions


def signing_key(path: Path, permissions: Permissions) -> bytes:
    """Return the 32 bytes that sign URLs.

    Raises:
        OperationalError: reading the file failed, or it holds something else.
    """
    text = read_or_create_secret(path, secrets.token_hex(32), permissions)
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise OperationalError(f"{path} holds no signing key. Delete the file; the next start makes a new key.")
    return key


def read_or_create_secret(path: Path, new: str, permissions: Permissions) -> str:
    """Return the secret in `path`; if it is missing, store `new` there. Processes that start together agree on one.

    Raises:
        OperationalError: reading or creating the file failed.
    """
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        if not path.exists():
            with open(draft, "x", opener=permissions.opener) as file:
                file.write(new + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperationalError(f"Reading the secret in {path} failed: {error}. Fix or delete the file.") from error
    finally:
        draft.unlink(missing_ok=True)
