"""Identifiers that cannot be guessed from one another."""

import re
import secrets
import string

_LOWER = string.digits + string.ascii_lowercase
_BASE62 = string.digits + string.ascii_letters

REQUEST_ID_PATTERN = "^[0-9a-z]{20}$"
_REQUEST_ID = re.compile(r"[0-9a-z]{20}")


def new_request_id() -> str:
    """20 lower-case letters and digits, 103 random bits, such as `rn5r12q9pdu6yvb3nxty`."""
    return "".join(secrets.choice(_LOWER) for _ in range(20))


def is_request_id(text: str) -> bool:
    return _REQUEST_ID.fullmatch(text) is not None


def new_file_prefix() -> str:
    """Six random base-62 characters. Too few to be unique for ever: the store refuses a name that is taken."""
    return "".join(secrets.choice(_BASE62) for _ in range(6))


def new_token() -> str:
    """128 random bits in hexadecimal: lease tokens and worker names."""
    return secrets.token_hex(16)
