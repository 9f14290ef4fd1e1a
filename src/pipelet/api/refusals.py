"""Keys, sessions and login codes that are refused: counted, and logged once a minute for each address."""

from typing import Protocol

import structlog
from starlette.types import Scope

from pipelet.api.request_urls import client_address
from pipelet.concurrency.log_throttle import LogThrottle

log = structlog.get_logger()

_MAX_ADDRESSES = 10_000


class Counter(Protocol):
    def authentication_failed(self, reason: str) -> None: ...


class Refusals:
    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._throttle = LogThrottle(max_reasons=_MAX_ADDRESSES)

    def note(self, scope: Scope, kind: str) -> None:
        """`kind` is that of `RefusedKey`."""
        self._counter.authentication_failed(kind)
        address = client_address(scope)
        reason = f"A client at {address} sent a key, a session or a login code that is not valid."
        self._throttle.write(log.warning, "authentication.failed", reason=reason, client=address, kind=kind)
