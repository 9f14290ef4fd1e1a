"""Options of a submit, in fal's headers and query. Others are accepted and ignored."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from pipelet.api.errors import ErrorDetail, error_detail, validation_problem
from pipelet.domain.webhooks.delivery import WebhookEvent
from pipelet.services.requests.idempotency import check_key
from pipelet.services.requests.submit import DEFAULT_OPTIONS, SubmitOptions

MIN_START_TIMEOUT, MAX_START_TIMEOUT = 0.1, 1e9
MAX_QUEUE_LENGTH = 10**12
_SECONDS = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?")
_COUNT = re.compile(r"[+-]?[0-9]{1,400}")
_MAX_RETENTION_SECONDS = 1e12
"""JSON has numbers that no clock has."""
_ALWAYS_TOLD = "completed"
_EVENT_CHARS = 64
_YES = frozenset({"1", "true", "yes"})
_NO = frozenset({"0", "false", "no"})


def is_flag_set(name: str, query: bytes) -> bool:
    """Whether a raw query has `name=1`, or another yes."""
    return any(key.lower() == name and _is_yes(value) for key, value in parse_qsl(query.decode("latin-1")))


def parse_options(scope: Mapping[str, Any]) -> SubmitOptions:
    """
    Raises:
        Problem: 422 with all errors.
    """
    found: dict[str, Any] = {}
    faults: list[ErrorDetail] = []
    headers = ((known, value) for name, value in scope["headers"] if (known := _HEADERS.get(name)))
    given = [("header", *known, value.decode("latin-1").strip()) for known, value in headers]
    if scope["query_string"]:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given += [("query", name, *_QUERY[name], value) for name, value in query if name in _QUERY]
    for where, name, field, read, text in given:
        try:
            value = read(text)
        except ValueError as error:
            faults.append(error_detail([where, name], str(error), sent=text))
            continue
        if field in _SINGLE_VALUED and field in found:
            faults.append(error_detail([where, name], "Give it once: it is not clear which one counts.", sent=text))
        found[field] = value
    if faults:
        raise validation_problem(*faults)
    if not found:
        return DEFAULT_OPTIONS
    if found.get("webhook_events") and "webhook" not in found:
        message = "Events are sent to `fal_webhook`, which is missing."
        raise validation_problem(error_detail(["query", "fal_webhook_events"], message))
    newer = found.pop("new_start_timeout", None)
    if newer is not None:  # the older name is deprecated
        found["start_timeout"] = newer
    return SubmitOptions(**found)


_Reader = Callable[[str], Any]


def _is_yes(text: str) -> bool:
    return text.lower() in _YES


def _start_timeout(text: str) -> float:
    seconds = float(text) if _SECONDS.fullmatch(text) else math.nan
    if not MIN_START_TIMEOUT < seconds <= MAX_START_TIMEOUT:
        raise ValueError(f"Give seconds, more than {MIN_START_TIMEOUT}, such as 30 or 30.0.")
    return seconds


def _max_queue_length(text: str) -> int:
    length = int(text) if _COUNT.fullmatch(text) else -1
    if not 0 <= length <= MAX_QUEUE_LENGTH:
        raise ValueError("Give a whole number, 0 or more.")
    return length


def _webhook_events(text: str) -> tuple[WebhookEvent, ...]:
    names = dict.fromkeys(each.strip() for each in text.split(","))
    if unknown := [name for name in names if name not in (*WebhookEvent, _ALWAYS_TOLD)]:
        shown = unknown[0][:_EVENT_CHARS]
        raise ValueError(f"There is no event {shown!r}. Give {', '.join(WebhookEvent)}, separated by commas.")
    return tuple(WebhookEvent(name) for name in names if name != _ALWAYS_TOLD)


def _retention_seconds(text: str) -> float | None:
    example = 'Give JSON such as {"expiration_duration_seconds": 3600}.'
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"This is not JSON. {example}") from None
    if wanted is None:
        return None
    if not isinstance(wanted, dict):
        raise ValueError(f"This is not a JSON object. {example}")
    match wanted.get("expiration_duration_seconds"):
        case None:
            return None
        case int() | float() as seconds if not isinstance(seconds, bool) and 0 < seconds < math.inf:
            return float(min(seconds, _MAX_RETENTION_SECONDS))
    raise ValueError(f"expiration_duration_seconds must be a number of seconds above 0. {example}")


def read_lifecycle(scope: Mapping[str, Any]) -> float | None:
    """Seconds for which an upload is to be kept; None if its client does not say.

    Raises:
        Problem: 422 for a header that does not say it either.
    """
    for name, value in scope["headers"]:
        if name in _LIFECYCLE_HEADERS:
            text = value.decode("latin-1").strip()
            try:
                return _retention_seconds(text)
            except ValueError as error:
                raise validation_problem(error_detail(["header", name.decode()], str(error), sent=text)) from error
    return None


_LIFECYCLE_HEADERS = (b"x-fal-object-lifecycle", b"x-fal-object-lifecycle-preference")
_HEADERS: Mapping[bytes, tuple[str, str, _Reader]] = {
    name.lower().encode(): (name, field, read)
    for name, field, read in (
        ("Idempotency-Key", "idempotency_key", check_key),
        ("X-Fal-Request-Timeout", "start_timeout", _start_timeout),
        ("X-Fal-Request-Start-Timeout", "new_start_timeout", _start_timeout),
        ("X-Fal-Queue-Priority", "is_low", lambda text: text.lower() == "low"),
        ("X-Fal-No-Retry", "no_retry", _is_yes),
        ("X-Fal-Store-IO", "store_input", lambda text: text.lower() not in _NO),
        ("X-Fal-Object-Lifecycle-Preference", "retention_seconds", _retention_seconds),
    )
}
_QUERY: Mapping[str, tuple[str, _Reader]] = {
    "fal_webhook_events": ("webhook_events", _webhook_events),
    "fal_max_queue_length": ("max_queue_length", _max_queue_length),
    "fal_webhook": ("webhook", str),
}
_SINGLE_VALUED = frozenset({"idempotency_key", "webhook"})
"""Options that may be given once. Of others the last one counts; fal's clients send none twice."""
