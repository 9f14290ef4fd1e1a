"""Direct access to the database, for operator commands. The service may run at the same time."""

import os
import pwd
import time

import structlog

from pipelet.concurrency.backoff import Backoff
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.accounts.api_keys import ApiKey, is_well_formed
from pipelet.domain.accounts.audit import Actor
from pipelet.domain.errors import PipeletError, StoreUnavailable
from pipelet.domain.ports.store import Store
from pipelet.services.accounts.keys import find_key
from pipelet.settings import Settings
from pipelet.wiring.store import schema_revision

log = structlog.get_logger()

_INITIAL_BACKOFF = 0.5
_MAX_BACKOFF = 5.0


class CommandError(PipeletError):
    """The command cannot be carried out; the message says why."""


def operator() -> Actor:
    """Return who runs the command, for the audit trail."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container that runs under any number
        name = str(os.getuid())
    return Actor(name=name)


async def find_key_by_name(store: Store, text: str) -> ApiKey:
    """Return the key with this id or secret, or the only valid key with this name or user.

    Raises:
        NotFound, CommandError: there is none, or there are several.
    """
    if is_well_formed(text):  # such as a leaked key
        return await find_key(store, text)
    keys, now = await store.api_keys.list_keys(), store.clock.now()
    if found := [key for key in keys if key.id == text]:
        return found[0]
    named = [key for key in keys if text in (key.name, key.user)]
    valid = [key for key in named if key.invalid_reason(now) is None]
    if len(valid) == 1:
        return valid[0]
    if not named:
        raise CommandError(f"No key has the id, the name or the user {text}. See `pipelet keys list`.")
    listed = ", ".join(f"{key.id} ({key.name}, user {key.user})" for key in valid or named)
    state = "Several keys have" if valid else "No valid key has"
    raise CommandError(f"{state} the name or the user {text}. Name one by its id: {listed}.")


def wait_for_database(chosen: Settings) -> None:
    """Return once the database is reachable: machines that start together do so in any order.

    Raises:
        StoreError: the database refuses the connection, so waiting would not help.
    """
    backoff, throttle = Backoff(initial=_INITIAL_BACKOFF, maximum=_MAX_BACKOFF), LogThrottle()
    while True:
        try:
            schema_revision(chosen)
        except StoreUnavailable as error:
            throttle.write(log.error, "database.unavailable", reason=str(error))
            time.sleep(backoff.next())
        else:
            return
