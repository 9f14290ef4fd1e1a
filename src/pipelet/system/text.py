"""Untrusted text on a terminal."""

import re

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0 and C1 control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, which change the order of displayed text
    "\u2028\u2029\ud800-\udfff]"  # line and paragraph separators; surrogates, which cannot be encoded
)


def visible(text: str, *, keep: str = "") -> str:
    """Return the text with all control characters escaped, except those in `keep`."""
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)
