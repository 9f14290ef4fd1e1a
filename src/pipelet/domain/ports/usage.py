"""The usage ledger and the minute samples: what their users need from them, and what they guarantee."""

from collections.abc import Collection, Mapping
from datetime import date
from typing import Literal, Protocol, get_args

from pipelet.domain.accounts.usage import UsageSum
from pipelet.domain.capacity.series import Gauges, MinuteSample

UsageField = Literal["day", "app", "key", "user"]
HistogramName = Literal["queue_wait", "total", "estimate_error"]
HISTOGRAMS: tuple[HistogramName, ...] = get_args(HistogramName)


class UsageStore(Protocol):
    """What ended requests cost, and samples of the service by the minute.

    The transaction that ends a request notes what it cost: each request counts once, however often its end is reported,
    and also if the process is killed a moment later. Deleting a request or a key changes no sum.
    """

    async def sums(
        self, first: date, last: date, *, by: Collection[UsageField], user: str | None = None, limit: int
    ) -> list[UsageSum]:
        """Return the sums of the UTC days from `first` to `last`, both included, at most `limit` of them, in any order.

        Args:
            by: what each sum is about; without any there is one sum.
            user: whose requests count; None counts all.
        """

    async def add_up(self, limit: int) -> int:
        """Move up to `limit` ended requests into the rows of the ledger and into the samples. Return how many.

        `sums` counts them before and after alike. It returns 0, too, while another process does it.
        """

    async def is_sampled(self, minute: int) -> bool:
        """Whether the gauges of a minute (since the epoch) have been sampled."""

    async def sample(self, minute: int, gauges: Mapping[str, Gauges]) -> None:
        """Store gauges by app. If several processes sample the same minute, the first one counts."""

    async def samples(
        self, first: int, end: int, *, minutes: int = 1, histograms: Collection[HistogramName] = HISTOGRAMS
    ) -> list[MinuteSample]:
        """Return the samples of the minutes from `first` to before `end`, oldest first.

        Args:
            histograms: those to read; the others are empty.
            minutes: length of a step, which becomes one sample of its first minute: the largest of each gauge, sums of
                the others. Steps begin at multiples of it.
        """

    async def delete_samples(self, before: int, after: int) -> None:
        """Delete the samples of the minutes before `before`, and those after `after`, which a wrong clock made."""
