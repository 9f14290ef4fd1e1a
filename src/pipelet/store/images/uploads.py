"""Uploads of users."""

from abc import abstractmethod

from pipelet.domain.accounts.limits import NO_LIMITS, UserQuota
from pipelet.domain.errors import QuotaExceeded, TooBusy
from pipelet.domain.uploads import Upload, upload_refusal
from pipelet.store.accounts.limits import quota_from
from pipelet.store.queries import DialectQueries, SmallStore
from pipelet.store.rows import Row, from_row

_NO_QUOTA = UserQuota(limits=NO_LIMITS)
_KEY_TAKEN = "This file is being stored or deleted by another call. Try again in a few seconds."


class Uploads(SmallStore[DialectQueries]):
    """Implements `domain.ports.uploads.UploadStore`; `_note` is that of the dialect."""

    async def note(self, upload: Upload, *, is_limited: bool) -> None:
        try:
            await self._note(upload, is_limited=is_limited)
        except self._queries.unique_violation as error:
            raise TooBusy(_KEY_TAKEN) from error

    @abstractmethod
    async def _note(self, upload: Upload, *, is_limited: bool) -> None:
        """As `note`. Where the key is taken, it raises the error of the database."""

    async def confirm(self, upload_id: str, expires_at: float) -> bool:
        values = {"id": upload_id, "expires_at": expires_at}
        return bool(await self._queries.write("confirm_upload", values, notify_watchers=False))

    async def find(self, key: str, user: str, now: float) -> Upload | None:
        row = await self._queries.one("find_upload", key=key, owner=user, now=now)
        if row is None:
            return None
        return from_row(Upload, row, user=row["owner"], size=row["bytes"], is_used=bool(row["used"]))

    async def note_use(self, upload_id: str) -> None:
        await self._queries.write("set_upload_used", {"id": upload_id}, durable=False, notify_watchers=False)

    async def delete(self, upload_id: str, user: str, now: float) -> str | None:
        values = {"id": upload_id, "owner": user, "now": now}
        found = await self._queries.write("delete_upload", values, notify_watchers=False)
        return next((row["key"] for row in found), None)

    async def delete_expired(self, now: float, limit: int) -> int:
        values = {"now": now, "limit": limit}
        deleted = await self._queries.write("delete_expired_uploads", values, durable=False, notify_watchers=False)
        return len(deleted)


def refusal_by(quota: Row | None, unused: Row | None, size: int) -> QuotaExceeded | None:
    """Return the error of an upload by the rows of `get_user_quota`, if that applies, and `count_unused_uploads`."""
    known = _NO_QUOTA if quota is None else quota_from(quota)
    return upload_refusal(size, known, 0 if unused is None else unused["unused"])


def upload_columns(upload: Upload) -> dict[str, object]:
    return {
        "id": upload.id,
        "owner": upload.user,
        "key": upload.key,
        "bytes": upload.size,
        "expires_at": upload.expires_at,
    }
