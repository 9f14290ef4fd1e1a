"""Secrets that this machine made up itself, in files that only their owner reads."""

import contextlib
import os
import secrets
from pathlib import Path

from pipelet.domain.errors import Unusable
from pipelet.system.permissions import Permissions


def signing_key(path: Path, permissions: Permissions) -> bytes:
    """32 bytes that URLs are signed with.

    Raises:
        Unusable: the file cannot be read, or holds something else.
    """
    text = secret_in(path, secrets.token_hex(32), permissions)
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Unusable(f"{path} holds no signing key. Delete the file: a new key is made at the next start.")
    return key


def secret_in(path: Path, new: str, permissions: Permissions) -> str:
    """What `path` holds; `new`, where it is missing. Processes that start together agree on one.

    Raises:
        Unusable: the file cannot be read or made.
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
        raise Unusable(f"The secret in {path} cannot be read: {error}. Delete the file, or mend it.") from error
    finally:
        draft.unlink(missing_ok=True)
