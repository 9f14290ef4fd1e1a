"""Images that users upload."""

from typing import Protocol

from pipelet.domain.uploads import Upload


class UploadStore(Protocol):
    """Uploads, each with the note of its file: whichever way a row goes, its file becomes an orphan with it."""

    async def note(self, upload: Upload, *, is_limited: bool) -> None:
        """Note an upload whose file is about to be written. From now on its bytes count for its user.

        `upload.expires_at` is when it counts as lost unless it is confirmed.

        Args:
            is_limited: whether the limits of the user apply.

        Raises:
            QuotaExceeded: there is no room. Of several concurrent uploads, no two get the last room.
            TooBusy: its file is being written, or deleted, by another call.
        """

    async def confirm(self, upload_id: str, expires_at: float) -> bool:
        """Note that its file is written, and when it expires. Return False if it counted as lost and is gone."""

    async def find(self, key: str, user: str, now: float) -> Upload | None:
        """Return the upload of a user by the key of its file; None if it is another user's, or not there any more."""

    async def note_use(self, upload_id: str) -> None:
        """Note that a submit has read it."""

    async def delete(self, upload_id: str, user: str, now: float) -> str | None:
        """Return the key of its file, which is an orphan now; None if the user has no such upload."""

    async def delete_expired(self, now: float, limit: int) -> int:
        """Delete up to `limit` uploads that have expired. Return how many."""
