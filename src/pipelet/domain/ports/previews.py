"""Previews of running requests, and the clients that watch them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pipelet.domain.generation.preview import Preview
from pipelet.domain.jobs.job import Lease


class PreviewState(NamedTuple):
    """What there is for one request that has not ended."""

    user: str
    """Owner of the request."""
    is_running: bool
    wanted_until: float | None
    """When the worker stops making previews; None if no client has asked."""
    version: tuple[float, int, int] | None
    """Tells one preview from the next; None before the first."""


class PreviewStore(Protocol):
    """The newest preview of each running request that a client watches. All of it is a hint, and may be lost.

    A preview is deleted with the attempt that made it, however that ends; clients that still watch ask again.
    """

    async def states(self, ids: Sequence[str]) -> dict[str, PreviewState]:
        """Return what there is for those of `ids` that have not ended."""

    async def watch(self, ids: Sequence[str], until: float, *, notify: bool) -> None:
        """Ask for previews of those of `ids` that have not ended, until that time.

        Args:
            notify: wake the workers, because some of them run, and no client has asked until now.
        """

    async def newest(self, ids: Sequence[str]) -> dict[str, Preview]:
        """Return the newest previews by id; requests without one are left out."""

    async def save(self, lease: Lease, preview: Preview) -> bool:
        """Replace the preview of the job. Return False if the lease was lost, or if no client watches any more."""

    async def delete_expired(self, before: float) -> int:
        """Delete what no client has asked for since that time; return how many."""
