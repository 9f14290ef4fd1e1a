"""One attempt at one request: draw its parts, and write each part's files while the next is being drawn."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import structlog

from pipelet.domain.catalog import Model
from pipelet.domain.engine import DrawnPart, Engine, Part, Used
from pipelet.domain.ids import new_file_prefix
from pipelet.domain.image import StoredImage, file_key
from pipelet.domain.job import Job, Lease
from pipelet.domain.outcome import Cancelled, Succeeded
from pipelet.domain.parts import split
from pipelet.domain.ports import BlobStore, JobStore
from pipelet.worker.encode import encode
from pipelet.worker.metadata import Metadata, metadata_of
from pipelet.worker.persist import persist
from pipelet.worker.references import load_references
from pipelet.worker.resample import resample
from pipelet.worker.tally import Tally

log = structlog.get_logger()

_LARGE = 0.5
"""Megapixels."""
_HEAD_START = 0.02
_SMALL_HEAD_START = 0.0025
"""Seconds before encoding starts. fpng holds the interpreter's lock while it encodes, some 5 ms a megapixel, just when
the next request is claimed and sent to the engine: with a head start for that, the engine idles for 3 ms instead of 38
(3200x2000), and for 2.5 instead of 3.5 (256x256)."""


class LeaseLost(Exception):
    """Somebody else has the job now."""


class Attempt:
    """`draw` needs the engine, `record` does not: the next attempt draws while this one is recorded.

    Args:
        model: what the engine draws with.
        megapixels_per_run: what one part may hold.
        details: what the files say about how they were made; None: nothing.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        store: JobStore,
        blobs: BlobStore,
        engine: Engine,
        model: Model,
        megapixels_per_run: float,
        details: Mapping[str, Any] | None,
    ) -> None:
        self.lease = lease
        self.draw_seconds = 0.0
        self._job = lease.job
        self._store = store
        self._blobs = blobs
        self._engine = engine
        self._model = model
        self._details = details
        self._parts = _plan(self._job, model, megapixels_per_run)
        self._tally = Tally(lease, model=model, parts=len(self._parts), store=store)
        self._reporting = asyncio.create_task(self._tally.report())
        # Now, while the engine draws: at the end of the drawing this write would go ahead of the next request's claim.
        self._keys = asyncio.create_task(self._reserve_keys())
        self._filing: list[asyncio.Task[list[StoredImage]]] = []

    @property
    def images_at_once(self) -> int:
        """Of the largest part."""
        return max(part.count for part in self._parts)

    async def draw(self) -> None:
        """Draw every part. What the engine raises passes through.

        Raises:
            ReferenceLost: a picture that the edit starts from cannot be had.
        """
        spec = self._job.spec
        references = tuple(await load_references(spec, self._model, self._blobs, request_id=self._job.id))
        for number, part in enumerate(replace(part, references=references) for part in self._parts):
            drawn = await self._engine.draw(part, partial(self._tally.drawn, number))
            self.draw_seconds += drawn.seconds
            if number == 0 and drawn.used is not None and drawn.used.prompt != spec.prompt:
                kept, sent = len(drawn.used.prompt), len(spec.prompt)
                log.warning("prompt.truncated", request_id=self._job.id, characters=kept, characters_sent=sent)
            self._filing.append(asyncio.create_task(self._file(part, drawn)))

    async def record(self) -> Succeeded | Cancelled:
        """Wait until every file is stored of what was drawn. Where `draw` was stopped, that is not all there was to be.

        Raises:
            LeaseLost: somebody else has the job; what this attempt stored is deleted in time.
        """
        images = [image for filed in await asyncio.gather(*self._filing) for image in filed]
        if len(self._filing) < len(self._parts):
            return Cancelled(tuple(images))
        return Succeeded(tuple(images), self.draw_seconds)

    async def close(self) -> None:
        """Stop whatever still runs for this attempt."""
        tasks = [self._reporting, self._keys, *self._filing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _file(self, part: Part, drawn: DrawnPart) -> list[StoredImage]:
        try:
            await asyncio.sleep(_HEAD_START if self._job.spec.megapixels >= _LARGE else _SMALL_HEAD_START)
            files = await asyncio.to_thread(self._encode, part, drawn)
        finally:
            drawn.release()
        self._tally.filed()
        keys = (await self._keys)[part.first : part.first + part.count]
        await asyncio.gather(*map(self._store_file, keys, files))
        self._tally.filed()
        found = drawn.has_nsfw_concepts or (False,) * part.count
        return [
            self._stored(key, file, part.first + k, has_nsfw_concepts=flagged)
            for k, (key, file, flagged) in enumerate(zip(keys, files, found, strict=True))
        ]

    def _encode(self, part: Part, drawn: DrawnPart) -> list[bytes]:
        spec = self._job.spec
        return [
            encode(resample(picture, spec.size), spec.output_format, self._metadata(spec.seed + number, drawn.used))
            for number, picture in enumerate(np.asarray(drawn.pixels), part.first)
        ]

    def _metadata(self, seed: int, used: Used | None) -> Metadata | None:
        if self._details is None:
            return None
        return metadata_of(self._details, used, seed=seed, output_format=self._job.spec.output_format)

    async def _reserve_keys(self) -> list[str]:
        spec = self._job.spec
        while True:
            prefix = new_file_prefix()
            numbers = range(1, spec.batch_size + 1)
            keys = [file_key(self._job.app, prefix, number, spec.output_format.extension) for number in numbers]
            try:
                reserved = await persist(partial(self._store.reserve_files, self.lease, keys), request_id=self._job.id)
            except KeyError:  # one of 57 billion prefixes, drawn twice
                continue
            if not reserved:
                raise LeaseLost
            return keys

    async def _store_file(self, key: str, data: bytes) -> None:
        content_type = self._job.spec.output_format.content_type
        await persist(partial(self._blobs.put, key, data, content_type), request_id=self._job.id)

    def _stored(self, key: str, data: bytes, number: int, *, has_nsfw_concepts: bool) -> StoredImage:
        spec = self._job.spec
        return StoredImage(
            key=key,
            content_type=spec.output_format.content_type,
            file_size=len(data),
            width=spec.width,
            height=spec.height,
            seed=spec.seed + number,
            has_nsfw_concepts=has_nsfw_concepts,
        )


def _plan(job: Job, model: Model, megapixels_per_run: float) -> list[Part]:
    parts, first = [], 0
    for count in split(job.spec.batch_size, model.megapixels_held(job.spec), megapixels_per_run):
        parts.append(Part(job_id=job.id, spec=model.handed_over(job.spec), first=first, count=count))
        first += count
    return parts
