"""Failures: failed requests that are alike, counted."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipelet.domain.errors import InvalidQuery
from pipelet.domain.ports.reports import FailureCount
from pipelet.domain.ports.store import Store
from pipelet.services.queue.series import MIN_STEP

DEFAULT_SECONDS = 24 * 3600.0
MAX_REQUESTS = 5_000
"""The newest failed requests that are looked at."""
_MAX_MESSAGE_CHARS = 300
_QUOTED = re.compile(
    r"""(?<!\w)'.*'(?!\w) | (?<!\w)".*"(?!\w) | `.*` | “.*” | ‘.*’ | «.*» | „.*[“”]""", re.VERBOSE | re.DOTALL
)
"""From the first quotation mark to the last, as what is quoted may have some of its own."""
_QUOTE = re.compile("['\"`“”‘’«»„]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    groups: list[FailureCount]
    """The largest first."""
    is_complete: bool
    """False if more requests failed than were looked at."""


async def load_failures(store: Store, *, since: float | None = None) -> Failures:
    """Count the requests that failed after `since` (seconds since the epoch; a day ago by default), by app, error type,
    message and worker. Messages are without what they quote of the input, and without numbers."""
    begin = store.clock.now() - DEFAULT_SECONDS if since is None else since
    found = await store.reports.failures(begin, MAX_REQUESTS)
    groups = sorted(_merged(found), key=lambda group: (-group.requests, -group.last_seen_at))
    return Failures(groups=groups, is_complete=sum(group.requests for group in groups) < MAX_REQUESTS)


async def load_failure_steps(store: Store, *, since: float, step: int) -> dict[str, list[tuple[float, int]]]:
    """Count the newest failed requests over time, by error type.

    Returns:
        Begins of steps, in seconds since the epoch, and how many requests failed in each; none for a step without one.

    Args:
        step: seconds, whole minutes.

    Raises:
        InvalidQuery: the step is not a number of minutes.
    """
    if step < MIN_STEP or step % MIN_STEP:
        raise InvalidQuery(f"The step has to be a multiple of {MIN_STEP} seconds.")
    counts: dict[str, Counter[float]] = {}
    for each in await store.reports.failures_by_minute(since, MAX_REQUESTS):
        at = 60.0 * each.minute
        counts.setdefault(each.error_type, Counter())[at - at % step] += each.requests
    return {kind: sorted(found.items()) for kind, found in sorted(counts.items())}


def without_input(message: str) -> str:
    """Return an error message as requests with other inputs have it, too: `…` stands for quotes and numbers."""
    if _QUOTE.search(message):  # few messages quote anything, and the search for a pair takes longer than all the rest
        message = _QUOTED.sub("…", message)
    return _NUMBER.sub("…", message)[:_MAX_MESSAGE_CHARS]


def _merged(counts: Iterable[FailureCount]) -> list[FailureCount]:
    alike: dict[tuple[str, str, str, str | None], list[FailureCount]] = {}
    for count in counts:
        key = count.app, count.error_type, without_input(count.message), count.worker
        alike.setdefault(key, []).append(count)
    return [
        replace(
            group[0],
            message=message,
            requests=sum(each.requests for each in group),
            retried=sum(each.retried for each in group),
            first_submitted_at=min(each.first_submitted_at for each in group),
            first_seen_at=min(each.first_seen_at for each in group),
            last_seen_at=max(each.last_seen_at for each in group),
        )
        for (_, _, message, _), group in alike.items()
    ]
