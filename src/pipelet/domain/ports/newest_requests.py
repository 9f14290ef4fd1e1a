"""The newest request of a user through one API, for APIs whose clients know no ids."""

from typing import Protocol


class NewestRequestStore(Protocol):
    async def get(self, user: str, api: str) -> str | None:
        """Return the id of the newest request, which may be deleted by now; None before the first."""

    async def set(self, user: str, api: str, job_id: str) -> None: ...
