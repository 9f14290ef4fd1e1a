"""Values as a JSON parser returns them, in words."""

_ECHO_CHARS = 200
_MAX_EXACT = 2**53 - 1
"""Larger numbers change on their way through a parser that keeps them as floats, such as JavaScript's."""


def name_of(value: object) -> str:
    """What JSON calls it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "an array"
        case _:
            return "an object"


def echo(value: object) -> str | int | float | bool | None:
    """What was sent, short and safe to send back: any JSON value, of any size, with lone surrogates or infinities."""
    match value:
        case None | bool():
            return value
        case str():
            text = value
        case int() | float() if abs(value) <= _MAX_EXACT:
            return value
        case int() | float():
            text = str(value)
        case _:
            text = name_of(value)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _ECHO_CHARS else text[: _ECHO_CHARS - 1] + "…"
