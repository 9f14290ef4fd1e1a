"""Text of others on a terminal."""

import re

_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0 and C1, with which terminals are controlled
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction, with which text is shown in another order than it has
    "\u2028\u2029\ud800-\udfff]"  # line and paragraph separators, and surrogates, which cannot be encoded
)


def visible(text: str, *, keep: str = "") -> str:
    """The text with the characters that a terminal would obey escaped, except those of `keep`."""
    if text.isprintable():
        return text
    return _OBEYED.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)
