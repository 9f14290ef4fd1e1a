"""What a submit asks beside its input, in fal's headers and query; what is not named here is accepted and ignored."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from pipelet.api.flags import is_no, is_yes
from pipelet.api.numerals import read_decimal, read_whole
from pipelet.api.problems import Fault, bad_input, fault

LEAST_START_TIMEOUT, LONGEST_START_TIMEOUT = 0.1, 1e9
MOST_IN_QUEUE = 10**12
LONGEST_IDEMPOTENCY_KEY = 255
_VISIBLE = re.compile(rf"[!-~]{{1,{LONGEST_IDEMPOTENCY_KEY}}}")
_LONGEST_KEEP = 1e12
"""Seconds. JSON knows numbers that are none in any clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    idempotency_key: str | None = None
    start_timeout: float | None = None
    """Seconds in which it is to begin."""
    is_low: bool = False
    """It gives way to others of its user's usual priority."""
    is_single_attempt: bool = False
    keeps_input: bool = True
    keep_seconds: float | None = None
    """How long after its end the request and its files are kept."""
    max_queue_length: int | None = None
    """How many requests may wait at most; with more it is refused."""
    webhook: str | None = None
    """As it was sent; `webhook_target` reads it."""


NOTHING = Options()


def read_options(scope: Mapping[str, Any]) -> Options:
    """Raises Problem 422 with all faults."""
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    for where, name, field, read, text in _given(scope):
        try:
            value = read(text)
        except ValueError as error:
            faults.append(fault([where, name], str(error), sent=text))
            continue
        if field in _ONCE and field in found:
            faults.append(fault([where, name], "Give it once: which one is meant is not clear.", sent=text))
        found[field] = value
    if faults:
        raise bad_input(*faults)
    if not found:
        return NOTHING
    newer = found.pop("new_start_timeout", None)
    if newer is not None:  # the older name is deprecated
        found["start_timeout"] = newer
    return Options(**found)


_Reader = Callable[[str], Any]


def _given(scope: Mapping[str, Any]) -> Iterator[tuple[str, str, str, _Reader, str]]:
    for header, value in scope["headers"]:
        known = _HEADERS.get(header)
        if known is not None:
            name, field, read = known
            yield "header", name, field, read, value.decode("latin-1").strip()
    if scope["query_string"]:
        for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
            if name in _QUERY:
                field, read = _QUERY[name]
                yield "query", name, field, read, value


def _idempotency_key(text: str) -> str:
    if not _VISIBLE.fullmatch(text):
        raise ValueError(
            f"Give 1 to {LONGEST_IDEMPOTENCY_KEY} visible ASCII characters without blanks, such as a UUID."
        )
    return text


def _start_timeout(text: str) -> float:
    seconds = read_decimal(text)
    if seconds is None or not LEAST_START_TIMEOUT < seconds <= LONGEST_START_TIMEOUT:
        raise ValueError(f"Give seconds, more than {LEAST_START_TIMEOUT}, such as 30 or 30.0.")
    return seconds


def _max_queue_length(text: str) -> int:
    length = read_whole(text)
    if length is None or not 0 <= length <= MOST_IN_QUEUE:
        raise ValueError("Give a whole number, 0 or more.")
    return length


def _keep_seconds(text: str) -> float | None:
    example = 'Give JSON such as {"expiration_duration_seconds": 3600}.'
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"This is not JSON. {example}") from None
    if wanted is None:
        return None
    if not isinstance(wanted, dict):
        raise ValueError(f"This is no JSON object. {example}")
    match wanted.get("expiration_duration_seconds"):
        case None:
            return None
        case int() | float() as seconds if not isinstance(seconds, bool) and 0 < seconds < math.inf:
            return float(min(seconds, _LONGEST_KEEP))
    raise ValueError(f"expiration_duration_seconds is to be a number of seconds above 0. {example}")


_HEADERS: Mapping[bytes, tuple[str, str, _Reader]] = {
    name.lower().encode(): (name, field, read)
    for name, field, read in (
        ("Idempotency-Key", "idempotency_key", _idempotency_key),
        ("X-Fal-Request-Timeout", "start_timeout", _start_timeout),
        ("X-Fal-Request-Start-Timeout", "new_start_timeout", _start_timeout),
        ("X-Fal-Queue-Priority", "is_low", lambda text: text.lower() == "low"),
        ("X-Fal-No-Retry", "is_single_attempt", is_yes),
        ("X-Fal-Store-IO", "keeps_input", lambda text: not is_no(text)),
        ("X-Fal-Object-Lifecycle-Preference", "keep_seconds", _keep_seconds),
    )
}
_QUERY: Mapping[str, tuple[str, _Reader]] = {
    "fal_max_queue_length": ("max_queue_length", _max_queue_length),
    "fal_webhook": ("webhook", str),
}
_ONCE = frozenset({"idempotency_key", "webhook"})
"""Of others the last one counts, as fal's clients send none twice."""
