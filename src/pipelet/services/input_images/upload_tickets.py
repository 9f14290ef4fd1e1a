"""Tickets: a URL or a token that lets its holder upload, made by a call with an API key.

They are signed with the hash of that key, which every process can read and which never leaves the database. So nothing
is stored before the file is, and a ticket opens nothing once its key is revoked, rotated or expired.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass

from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import RefusedKey
from pipelet.domain.ids import new_token
from pipelet.domain.ports.accounts import ApiKeyStore
from pipelet.domain.ports.clock import Clock
from pipelet.domain.uploads import FOLDER
from pipelet.services.accounts.authentication import Authenticator

TICKET_SECONDS, TOKEN_SECONDS = 600, 3600
"""Seconds for which a ticket for a file, and one for any number of files, can be used."""
_MAX_KEPT = 10**12 - 1
"""Seconds: as many digits as a ticket has room for. No file is kept as long."""
_TICKET = re.compile(
    r"(?P<signed>(?P<key_id>[0-9A-Za-z_-]{1,64})\.(?P<nonce>[0-9a-f]{32})\.(?P<until>[0-9]{1,12})"
    r"\.(?P<kept>[0-9]{1,12}|-)\.(?P<extension>[a-z]{0,8}))\.(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTicket:
    """A ticket that was checked."""

    key: ApiKey
    """The key that it was made with."""
    file_key: str | None
    """The key of its file in the blob store; None if it is for any number of files."""
    expires_in: float | None
    """Seconds for which the file is to be kept; None: as long as uploads are."""


class UploadTickets:
    def __init__(self, api_keys: ApiKeyStore, authenticator: Authenticator, clock: Clock) -> None:
        self._api_keys = api_keys
        self._authenticator = authenticator
        self._clock = clock

    def for_file(self, key: ApiKey, *, extension: str, expires_in: float | None) -> tuple[str, str]:
        """Return a ticket for one file, and the key that the file will have in the blob store.

        Args:
            extension: of the file, as far as it is known before its bytes.
            expires_in: seconds for which the file is to be kept.
        """
        kept = "-" if expires_in is None else str(min(max(1, int(expires_in)), _MAX_KEPT))
        signed = f"{key.id}.{new_token()}.{self._until(TICKET_SECONDS)}.{kept}.{extension}"
        return f"{signed}.{_sign(key, signed)}", _file_key(key, signed, extension)

    def for_many(self, key: ApiKey) -> tuple[str, float]:
        """Return a ticket for any number of files, and when it expires, in seconds since the epoch."""
        until = self._until(TOKEN_SECONDS)
        signed = f"{key.id}.{new_token()}.{until}.-."
        return f"{signed}.{_sign(key, signed)}", float(until)

    async def check(self, text: str) -> UploadTicket:
        """Return what a ticket is for.

        Raises:
            RefusedKey: this service did not issue it, it has expired, or its key is not valid any more.
        """
        found = _TICKET.fullmatch(text)
        key = await self._api_keys.get(found["key_id"]) if found else None
        if found is None or key is None or not hmac.compare_digest(_sign(key, found["signed"]), found["signature"]):
            raise RefusedKey("This is no URL or token for uploads of this service. Ask for a new one.", kind="unknown")
        if self._clock.now() >= int(found["until"]):
            raise RefusedKey("The time for this upload is over. Ask for a new URL or token.", kind="expired")
        extension = found["extension"]
        return UploadTicket(
            key=await self._authenticator.find(key.hash),
            file_key=_file_key(key, found["signed"], extension) if extension else None,
            expires_in=None if found["kept"] == "-" else float(found["kept"]),
        )

    def _until(self, seconds: int) -> int:
        return int(self._clock.now()) + seconds


def _sign(key: ApiKey, signed: str) -> str:
    return hmac.digest(key.hash, f"upload ticket\n{signed}".encode(), hashlib.sha256).hex()


def _file_key(key: ApiKey, signed: str, extension: str) -> str:
    """Return the key of a ticket's file, the same for a repeated upload, and as random as the ticket."""
    name = hmac.digest(key.hash, f"upload name\n{signed}".encode(), hashlib.sha256).hex()[:32]
    return f"{FOLDER}{name}.{extension}"
