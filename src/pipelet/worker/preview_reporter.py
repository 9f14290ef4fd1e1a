"""Encodes the previews of an attempt, and stores them for the clients that watch it."""

import asyncio

import structlog

from pipelet.concurrency.cancel import cancel_and_wait
from pipelet.concurrency.log_throttle import LogThrottle
from pipelet.domain.errors import StoreError
from pipelet.domain.generation.preview import Preview, PreviewPixels
from pipelet.domain.jobs.job import Lease
from pipelet.domain.ports.store import Store
from pipelet.worker.images.previews import encode_preview

log = structlog.get_logger()


class PreviewReporter:
    """Costs nothing until there is a preview. The newest one wins."""

    def __init__(self, lease: Lease, store: Store) -> None:
        self._lease = lease
        self._store = store
        self._newest: PreviewPixels | None = None
        self._storing: asyncio.Task[None] | None = None
        self._throttle = LogThrottle()

    def add(self, preview: PreviewPixels) -> None:
        self._newest = preview
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_newest())

    async def close(self) -> None:
        if self._storing is not None:
            await cancel_and_wait([self._storing])

    async def _store_newest(self) -> None:
        while (made := self._newest) is not None:
            self._newest = None
            image = await asyncio.to_thread(encode_preview, made, self._lease.job.spec.size)
            if image is None:
                continue
            now = self._store.clock.now()
            try:
                await self._store.previews.save(
                    self._lease, Preview(index=made.index, step=made.step, image=image, made_at=now)
                )
            except StoreError as error:  # the next one comes soon
                self._throttle.write(log.warning, "preview.store_failed", reason=str(error))
