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
    return _random_text(_LOWER, 20)


def is_request_id(text: str) -> bool:
    return _REQUEST_ID.fullmatch(text) is not None


def new_file_prefix() -> str:
    """Six random base-62 characters. Too few to be unique for ever: the store refuses a name that is taken."""
    return _random_text(_BASE62, 6)


def new_token() -> str:
    """128 random bits in hexadecimal: lease tokens and worker names."""
    return secrets.token_hex(16)


def _random_text(alphabet: str, length: int) -> str:
    # One draw for all characters: each costs a system call, and requests come by the thousand.
    number, size = secrets.randbelow(len(alphabet) ** length), len(alphabet)
    characters = []
    for _ in range(length):
        number, character = divmod(number, size)
        characters.append(alphabet[character])
    return "".join(characters)
