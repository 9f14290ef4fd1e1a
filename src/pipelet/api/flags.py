"""Yes and no, as headers and queries say it."""

from urllib.parse import parse_qsl

_YES = frozenset({"1", "true", "yes"})
_NO = frozenset({"0", "false", "no"})


def is_yes(text: str) -> bool:
    return text.lower() in _YES


def is_no(text: str) -> bool:
    return text.lower() in _NO


def asks_for(name: str, query: bytes) -> bool:
    """Whether a raw query has `name=1`, or another yes."""
    return any(key.lower() == name and is_yes(value) for key, value in parse_qsl(query.decode("latin-1")))
