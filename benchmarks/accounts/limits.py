"""A key with all default limits against one without, in turns: what counting and checking them costs.

The limits are of the kinds that a new user has by default, and so large that none is reached.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.support.jobs import claim_request, make_job, make_key, success

from benchmarks.lib.table import Line, Ratio, in_us, median
from pipelet.domain.accounts.limits import UserLimits, numbers
from pipelet.domain.ids import new_token
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.store import Store
from pipelet.settings import Settings

Result = TypeVar("Result")

MOST_TIMES = 1.1
_LARGE, _FIRST = 1_000_000, 1_000_000
"""More than is ever used; and a priority above all others, so that each claim gets the request of its turn."""
SETTINGS = {
    "PIPELET_DEFAULT_MAX_QUEUED_IMAGES": str(_LARGE),
    "PIPELET_DEFAULT_MAX_SUBMITS_PER_SECOND": "10000",
    "PIPELET_DEFAULT_SUBMIT_BURST": str(_LARGE),
    "PIPELET_DEFAULT_MAX_STORED_GIB": str(_LARGE),
    "PIPELET_DEFAULT_MAX_WEBHOOKS_PER_MINUTE": str(_LARGE),
}
"""Defaults of a service whose limits are checked and never reached."""


async def compare(store: Store, samples: int) -> list[Line]:
    """Submit, claim and end requests of two users, one of whom has limits."""
    limits = await store.limits.change("ann", numbers(_large_limits()))  # type: ignore[arg-type]
    keys = {"without": make_key(), "with": make_key(user_limits=limits)}
    for key in keys.values():
        await store.api_keys.add(key)
    found: dict[str, dict[str, list[float]]] = {
        kind: {each: [] for each in keys} for kind in ("submit", "claim", "end")
    }
    for number in range(samples + 1):
        for each in list(keys)[:: 1 if number % 2 else -1]:
            times = await _one(store, make_job(key=keys[each], priority=_FIRST, submitted_at=time.time()))
            if number:  # the first one warmed everything up
                for kind, seconds in zip(found, times, strict=True):
                    found[kind][each].append(seconds)
    return [_line(kind, **times) for kind, times in found.items()]


def _large_limits() -> UserLimits:
    return Settings(**{name.removeprefix("PIPELET_").lower(): value for name, value in SETTINGS.items()}).default_limits  # type: ignore[arg-type]


async def _one(store: Store, job: Job) -> tuple[float, float, float]:
    """Seconds of a submit, of its claim, and of its end with a file."""
    submit, _ = await _timed(lambda: store.jobs.submit(job))
    claim, lease = await _timed(lambda: store.leases.claim(claim_request(now=time.time(), seconds=1e6)))
    assert lease is not None
    assert lease.job.id == job.id
    key = f"outputs/{new_token()}.png"
    await store.files.reserve(lease, [key])
    end, _ = await _timed(lambda: store.leases.finish(lease, success(key), time.time()))
    return submit, claim, end


async def _timed(operation: Callable[[], Awaitable[Result]]) -> tuple[float, Result]:
    began = time.perf_counter()
    result = await operation()
    return time.perf_counter() - began, result


def _line(kind: str, **times: list[float]) -> Line:
    found, base = median(times["with"]), median(times["without"])
    reference = f"{found / base:.2f} times {in_us(base)} without limits"
    met = found / base <= MOST_TIMES
    return Line(
        f"{kind}, key with all default limits", in_us(found), reference, "≤ 1.1 times", met, Ratio(found / base)
    )
