"""Identifiers that cannot be guessed from one another."""

import re
import secrets
import string


class _Alphabet:
    """Turns random bytes into characters, each equally likely: bytes past the last whole alphabet are discarded."""

    def __init__(self, characters: str) -> None:
        usable = 256 - 256 % len(characters)
        self._characters = bytes(ord(characters[byte % len(characters)]) for byte in range(256))
        self._unusable = bytes(range(usable, 256))

    def text(self, length: int) -> str:
        # Many bytes at once: each read is a system call, and requests come by the thousand.
        text = b""
        while len(text) < length:
            text += secrets.token_bytes(length + 8).translate(self._characters, self._unusable)
        return text[:length].decode()


_LOWER = _Alphabet(string.digits + string.ascii_lowercase)
_DIGITS_62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BASE62 = _Alphabet(_DIGITS_62)

REQUEST_ID_PATTERN = "^[0-9a-z]{20}$"
_REQUEST_ID = re.compile(r"[0-9a-z]{20}")


def new_request_id() -> str:
    """20 lower-case letters and digits, 103 random bits, such as `rn5r12q9pdu6yvb3nxty`."""
    return _LOWER.text(20)


def is_request_id(text: str) -> bool:
    return _REQUEST_ID.fullmatch(text) is not None


def new_file_prefix() -> str:
    """Six random base-62 characters. Too few to stay unique: the store refuses a name that is taken."""
    return _BASE62.text(6)


def random_base62(length: int) -> str:
    """Random digits and letters, 5.95 bits each."""
    return _BASE62.text(length)


def base62(number: int, length: int) -> str:
    """`number` in base 62 (0-9, A-Z, a-z), with leading zeros."""
    text = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        text = _DIGITS_62[digit] + text
    return text


def new_token() -> str:
    """128 random bits in hexadecimal: lease tokens and worker names."""
    return secrets.token_hex(16)
