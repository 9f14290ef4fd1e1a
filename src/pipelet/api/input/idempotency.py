"""The header `Idempotency-Key` of a submit, for every API."""

from collections.abc import Mapping
from typing import Any

from pipelet.api.errors import Problem, error_detail, validation_problem
from pipelet.domain.errors import IdempotencyKeyReused
from pipelet.services.requests.idempotency import MAX_KEY_CHARS, check_key

HEADER = "Idempotency-Key"
PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": f"^[!-~]{{1,{MAX_KEY_CHARS}}}$"},
    "description": "The same key and input within 24 hours return the same request.",
}
"""The header in OpenAPI."""
REPLAYED = {"Idempotent-Replayed": "true"}
"""The header of a response that an earlier submit made."""
_RAW = HEADER.lower().encode()


def read_idempotency_key(scope: Mapping[str, Any]) -> str | None:
    """
    Raises:
        Problem: 422 for a key that is not one, or for two of them.
    """
    sent = [value.decode("latin-1").strip() for name, value in scope["headers"] if name == _RAW]
    if len(sent) > 1:
        raise _problem("Give it once: it is not clear which one counts.", sent[1])
    try:
        return check_key(sent[0]) if sent else None
    except ValueError as error:
        raise _problem(str(error), sent[0]) from error


def key_reused(error: IdempotencyKeyReused) -> Problem:
    """422 for a key that was sent before with another input."""
    return _problem(str(error), error.key, "idempotency_key_reused")


def _problem(message: str, sent: str, kind: str = "value_error") -> Problem:
    return validation_problem(error_detail(["header", HEADER], message, kind, sent=sent))
