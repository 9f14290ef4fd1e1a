"""Fields that an API of other clients does not use: named in a header of the response, never with their values."""

from collections.abc import Sequence
from urllib.parse import quote

HEADER = "X-Pipelet-Ignored"
DESCRIPTION = {HEADER: {"schema": {"type": "string"}, "description": "Names of fields that were not used."}}
"""The header in OpenAPI."""
_MAX_NAMES, _MAX_NAME_CHARS, _MAX_BYTES = 20, 64, 1024
_MORE = "..."
_SAFE = ".-_"


def ignored_header(names: Sequence[str]) -> dict[str, str]:
    """The header that names them; empty if there are none. Characters other than [A-Za-z0-9_.-] are percent-encoded."""
    if not names:
        return {}
    shown: list[str] = []
    left = _MAX_BYTES - len(_MORE)
    for name in names[:_MAX_NAMES]:
        text = quote(name[:_MAX_NAME_CHARS], safe=_SAFE, errors="replace").replace("~", "%7E")
        left -= len(text) + 2
        if left < 0:
            break
        shown.append(text)
    if len(shown) < len(names):
        shown.append(_MORE)
    return {HEADER: ", ".join(shown)}
