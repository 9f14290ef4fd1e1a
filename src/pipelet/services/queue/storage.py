"""Storage: how much the images of ended requests take. A walk over all of them samples it: every hour, and every minute
while they are few."""

import asyncio
import json
from collections import Counter
from dataclasses import asdict, dataclass

from pipelet.domain.ports.blobs import SignedFiles
from pipelet.domain.ports.reports import StoredImages
from pipelet.domain.ports.store import Store

INTERVAL_SECONDS = 60.0
"""Seconds between two looks at whether a sample is due."""
_SAMPLE_SECONDS = 3600.0
_FEW = 2_000
"""Requests that a walk passes in some milliseconds: a new service shows its first images at once."""
_NAME = "storage"
_PAGE_SIZE = 500
_PAUSE = 0.01
"""Seconds between two pages; a page takes some milliseconds."""
_MAX_USERS = 20
_DAY = 86_400.0
_AGES = (1, 7, 30)
"""Days; the oldest group is beyond the last."""


@dataclass(frozen=True, slots=True)
class Amount:
    name: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSample:
    size: int
    """Bytes of all images."""
    requests: int
    """Requests with images."""
    by_app: list[Amount]
    by_user: list[Amount]
    """The users with the most, at most 20."""
    by_age: list[Amount]
    """By days since the end of the request: `under 1`, `under 7`, `under 30`, `30 and more`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageReport:
    sampled_at: float | None
    """Seconds since the epoch; None before the first sample."""
    sample: StorageSample | None
    free_bytes: int | None
    """Room on the disk now; None if files are stored elsewhere."""
    retention_seconds: float


class StorageReports:
    """
    Args:
        disk: None if files are stored elsewhere.
        retention_seconds: seconds for which requests are kept after their end.
    """

    def __init__(self, store: Store, disk: SignedFiles | None, *, retention_seconds: float) -> None:
        self._store = store
        self._disk = disk
        self._retention_seconds = retention_seconds

    async def load(self) -> StorageReport:
        saved = await self._store.reports.saved(_NAME)
        return StorageReport(
            sampled_at=None if saved is None else saved.sampled_at,
            sample=None if saved is None else _sample_from(saved.body),
            free_bytes=None if self._disk is None else await asyncio.to_thread(self._disk.free_bytes),
            retention_seconds=self._retention_seconds,
        )


async def sample_storage(store: Store, *, few: int = _FEW) -> None:
    """Sample it if that is due, and no other process does it. Call it every `INTERVAL_SECONDS`.

    Args:
        few: requests; if the last walk passed fewer, the next is due after `INTERVAL_SECONDS`.
    """
    now, saved = store.clock.now(), await store.reports.saved(_NAME)
    are_few = saved is not None and json.loads(saved.body).get("walked", few) < few
    if not await store.reports.start(_NAME, now, now - (INTERVAL_SECONDS / 2 if are_few else _SAMPLE_SECONDS)):
        return
    sums, after, walked = _Sums(now), (0.0, -(2**62)), 0
    while page := await store.reports.stored_images(after, _PAGE_SIZE):
        for each in page:
            sums.add(each)
        walked += len(page)
        after = page[-1].finished_at, page[-1].seq
        await asyncio.sleep(_PAUSE)
    await store.reports.save(_NAME, now, json.dumps(asdict(sums.sample()) | {"walked": walked}))


class _Sums:
    def __init__(self, now: float) -> None:
        self._now = now
        self._requests = 0
        self._by_app: Counter[str] = Counter()
        self._by_user: Counter[str] = Counter()
        self._by_age: Counter[str] = Counter()

    def add(self, images: StoredImages) -> None:
        if images.size:
            self._requests += 1
            self._by_app[images.app] += images.size
            self._by_user[images.user] += images.size
            self._by_age[_age_group(self._now - images.finished_at)] += images.size

    def sample(self) -> StorageSample:
        groups = [*(f"under {days}" for days in _AGES), f"{_AGES[-1]} and more"]
        return StorageSample(
            size=self._by_app.total(),
            requests=self._requests,
            by_app=[Amount(*each) for each in self._by_app.most_common()],
            by_user=[Amount(*each) for each in self._by_user.most_common(_MAX_USERS)],
            by_age=[Amount(group, self._by_age[group]) for group in groups],
        )


def _age_group(seconds: float) -> str:
    return next((f"under {days}" for days in _AGES if seconds < days * _DAY), f"{_AGES[-1]} and more")


def _sample_from(body: str) -> StorageSample:
    found = json.loads(body)
    lists = {name: [Amount(**each) for each in found[name]] for name in ("by_app", "by_user", "by_age")}
    return StorageSample(size=found["size"], requests=found["requests"], **lists)
