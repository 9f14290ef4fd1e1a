"""Waiting for a database that is away when we start: machines that start together do so in any order."""

import time

import structlog

from pipelet import wiring
from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import StoreAway
from pipelet.settings import Settings

log = structlog.get_logger()

_INITIAL_BACKOFF = 0.5
_MAX_BACKOFF = 5.0


def wait_for_database(chosen: Settings) -> None:
    """Returns once it answers.

    Raises:
        StoreUnusable: it answers, and refuses: waiting would not help.
    """
    backoff, throttle = Backoff(initial=_INITIAL_BACKOFF, maximum=_MAX_BACKOFF), LogThrottle()
    while True:
        try:
            wiring.schema_revision(chosen)
        except StoreAway as error:
            throttle.write(log.error, "database.away", reason=str(error))
            time.sleep(backoff.next())
        else:
            return
