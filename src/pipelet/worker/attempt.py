"""One attempt at one job: generate its micro-batches, and store the files of each while the next is generated."""

import asyncio
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import structlog

from pipelet import tracing
from pipelet.concurrency.cancel import cancel_and_wait
from pipelet.domain.generation.image import StoredImage, file_key
from pipelet.domain.generation.plan import GenerationPlan
from pipelet.domain.ids import new_file_prefix
from pipelet.domain.jobs.job import AttemptSignals, Lease
from pipelet.domain.jobs.outcome import Cancelled, Succeeded
from pipelet.domain.jobs.progress import tasks_per_job
from pipelet.domain.ports.blobs import BlobStore
from pipelet.domain.ports.engine import EffectiveParameters, Engine, GeneratedBatch, MicroBatch
from pipelet.domain.ports.store import Store
from pipelet.worker.images.encode import encode
from pipelet.worker.images.input_images import load_input_images
from pipelet.worker.images.metadata import Metadata, build_metadata
from pipelet.worker.images.resample import resample
from pipelet.worker.images.thumbnails import Pixels, sampled
from pipelet.worker.preview_reporter import PreviewReporter
from pipelet.worker.progress_reporter import ProgressReporter
from pipelet.worker.storage_retry import retry_until_stored

log = structlog.get_logger()

_LARGE_MEGAPIXELS = 0.5
_ENCODE_DELAY = 0.02
_SMALL_ENCODE_DELAY = 0.0025
"""Seconds before encoding starts. fpng holds the interpreter's lock while it encodes, some 5 ms a megapixel, just when
the next job is claimed and sent to the engine: with this delay the engine idles for 3 ms instead of 38 (3200x2000), and
for 2.5 instead of 3.5 (256x256)."""


class LeaseLost(Exception):
    """Another worker has the job."""


@dataclass(eq=False)
class Attempt:
    """`generate` needs the engine, `store_files` does not: the next attempt generates while this one is stored."""

    lease: Lease
    _: KW_ONLY
    store: Store
    blobs: BlobStore
    engine: Engine
    plan: GenerationPlan
    max_megapixels_per_batch: float
    """Maximum memory of a micro-batch."""
    details: Mapping[str, Any] | None
    """What the files say about how they were generated; None for nothing."""

    def __post_init__(self) -> None:
        self.generation_seconds = 0.0
        self._job = self.lease.job
        self._batches = _split(self._job.id, self.plan, self.max_megapixels_per_batch)
        batches = len(self._batches)
        total = tasks_per_job(self.plan, batches)
        self._progress = ProgressReporter(
            self.lease, total=total, batches=batches, leases=self.store.leases, on_signals=self.notice
        )
        self._reporting = asyncio.create_task(self._progress.run())
        self._previews = PreviewReporter(self.lease, self.store)
        # Now, while the engine generates: afterwards this write would go ahead of the claim of the next job.
        self._keys = asyncio.create_task(self._reserve_keys())
        self._store_tasks: list[asyncio.Task[list[StoredImage]]] = []
        self.samples: dict[int, Pixels] = {}
        """Pixels for the thumbnails, by the number of the image."""

    @property
    def largest_batch(self) -> int:
        """Number of images of the largest micro-batch."""
        return max(batch.count for batch in self._batches)

    def notice(self, signals: AttemptSignals) -> None:
        """Have the engine make previews, if a client watches."""
        if signals.previews_until is not None:
            seconds = signals.previews_until - self.store.clock.now()
            self.engine.request_previews(self._job.id, seconds)

    async def generate(self) -> None:
        """Generate every micro-batch.

        Raises:
            InputImageLost: an input image cannot be read.
            EngineError: raised by the engine.
        """
        spec = self._job.spec
        input_images = tuple(await load_input_images(self.plan, self.blobs))
        for number, batch in enumerate(replace(batch, input_images=input_images) for batch in self._batches):
            with tracing.span("generate", images=batch.count):
                generated = await self.engine.generate(
                    batch, partial(self._progress.generated, number), self._previews.add
                )
            self.generation_seconds += generated.seconds
            if number == 0 and generated.used is not None and generated.used.prompt != spec.prompt:
                kept, sent = len(generated.used.prompt), len(spec.prompt)
                log.warning("prompt.truncated", characters=kept, characters_sent=sent)
            self._store_tasks.append(asyncio.create_task(self._store_batch(batch, generated)))

    async def store_files(self) -> Succeeded | Cancelled:
        """Wait until every file is stored. Returns Cancelled where `generate` was stopped before its end.

        Raises:
            LeaseLost: another worker has the job; retention deletes what this attempt stored.
        """
        images = [image for stored in await asyncio.gather(*self._store_tasks) for image in stored]
        if len(self._store_tasks) < len(self._batches):
            return Cancelled(tuple(images))
        return Succeeded(tuple(images), self.generation_seconds)

    async def close(self) -> None:
        """Stop everything that still runs for this attempt."""
        await cancel_and_wait([self._reporting, self._keys, *self._store_tasks])
        await self._previews.close()

    async def _store_batch(self, batch: MicroBatch, generated: GeneratedBatch) -> list[StoredImage]:
        try:
            is_large = self._job.spec.megapixels >= _LARGE_MEGAPIXELS
            await asyncio.sleep(_ENCODE_DELAY if is_large else _SMALL_ENCODE_DELAY)
            with tracing.span("encode", images=batch.count):
                files = await asyncio.to_thread(self._encode, batch, generated)
        finally:
            generated.release()
        self._progress.stored()
        keys = (await self._keys)[batch.first : batch.first + batch.count]
        with tracing.span("store", images=batch.count, bytes=sum(map(len, files))):
            kind = batch.spec.output_format.content_type
            puts = [partial(self.blobs.put, key, file, kind) for key, file in zip(keys, files, strict=True)]
            await asyncio.gather(*map(retry_until_stored, puts))
        self._progress.stored()
        found = generated.has_nsfw_concepts or (False,) * batch.count
        spec = self._job.spec
        return [
            StoredImage(
                key=key,
                content_type=spec.output_format.content_type,
                file_size=len(file),
                width=spec.width,
                height=spec.height,
                seed=spec.seed + number,
                has_nsfw_concepts=flagged,
            )
            for number, (key, file, flagged) in enumerate(zip(keys, files, found, strict=True), batch.first)
        ]

    def _encode(self, batch: MicroBatch, generated: GeneratedBatch) -> list[bytes]:
        spec, files = self._job.spec, []
        for number, pixels in enumerate(np.asarray(generated.pixels), batch.first):
            image, metadata = resample(pixels, spec.size), self._metadata(spec.seed + number, generated.used)
            files.append(encode(image, spec.output_format, metadata, quality=spec.output_quality))
            self.samples[number] = sampled(image)
        return files

    def _metadata(self, seed: int, used: EffectiveParameters | None) -> Metadata | None:
        if self.details is None:
            return None
        return build_metadata(self.details, used, seed=seed, output_format=self._job.spec.output_format)

    async def _reserve_keys(self) -> list[str]:
        spec = self._job.spec
        while True:
            prefix = new_file_prefix()
            numbers = range(1, spec.batch_size + 1)
            keys = [file_key(self._job.app, prefix, number, spec.output_format.extension) for number in numbers]
            try:
                reserved = await retry_until_stored(partial(self.store.files.reserve, self.lease, keys))
            except KeyError:  # one of 57 billion prefixes, twice
                continue
            if not reserved:
                raise LeaseLost
            return keys


def _split(job_id: str, plan: GenerationPlan, max_megapixels_per_batch: float) -> list[MicroBatch]:
    batches, first = [], 0
    for count in plan.batch_sizes(max_megapixels_per_batch):
        batches.append(MicroBatch(job_id=job_id, spec=plan.output, first=first, count=count))
        first += count
    return batches
