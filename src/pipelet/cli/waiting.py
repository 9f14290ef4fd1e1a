"""Waiting for a database that is away when we start: machines that start together do so in any order."""

import time

import structlog

from pipelet import wiring
from pipelet.domain.errors import StoreAway
from pipelet.settings import Settings

log = structlog.get_logger()

_PAUSE = 2.0


def wait_for_database(chosen: Settings) -> None:
    """Returns once it answers.

    Raises:
        StoreUnusable: it answers, and refuses: waiting would not help.
    """
    while True:
        try:
            wiring.schema_revision(chosen)
        except StoreAway as error:
            log.error("database.away", reason=str(error), again_in_seconds=_PAUSE)
            time.sleep(_PAUSE)
        else:
            return
