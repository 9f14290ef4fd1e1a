"""Previews of running requests."""

from collections.abc import Sequence
from typing import Any

from pipelet.domain.generation.preview import Preview
from pipelet.domain.jobs.job import JobState, Lease
from pipelet.domain.ports.previews import PreviewState
from pipelet.store.queries import Queries, SmallStore

_HINT: dict[str, Any] = {"durable": False, "notify_watchers": False}


class Previews(SmallStore[Queries]):
    """Implements `domain.ports.previews.PreviewStore`."""

    async def states(self, ids: Sequence[str]) -> dict[str, PreviewState]:
        found = await self._queries.all("list_preview_states", ids=list(ids))
        return {
            row["id"]: PreviewState(
                user=row["owner"],
                is_running=row["state"] == JobState.RUNNING,
                wanted_until=row["wanted_until"],
                version=None if row["made_at"] is None else (row["made_at"], row["image_index"], row["step"]),
            )
            for row in found
        }

    async def watch(self, ids: Sequence[str], until: float, *, notify: bool) -> None:
        values = {"ids": list(ids), "until": until}
        await self._queries.write("watch_previews", values, notify_workers=notify, **_HINT)

    async def newest(self, ids: Sequence[str]) -> dict[str, Preview]:
        return {
            row["job_id"]: Preview(
                index=row["image_index"], step=row["step"], image=bytes(row["image"]), made_at=row["made_at"]
            )
            for row in await self._queries.all("list_previews", ids=list(ids))
        }

    async def save(self, lease: Lease, preview: Preview) -> bool:
        values = {
            "id": lease.job.id,
            "token": lease.token,
            "made_at": preview.made_at,
            "image_index": preview.index,
            "step": preview.step,
            "image": preview.image,
        }
        return bool(await self._queries.write("save_preview", values, **_HINT))

    async def delete_expired(self, before: float) -> int:
        return len(await self._queries.write("delete_expired_previews", {"before": before}, **_HINT))
