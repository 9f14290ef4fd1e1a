"""Usage: what requests that have ended cost, by UTC day, user, key and app. It has ids and numbers, and no content."""

from dataclasses import dataclass
from datetime import date

_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFigures:
    """Sums over ended requests. They are integers, so that a sum does not depend on the order of its parts.

    A failed request, and one that was cancelled before its start, cost no image, pixel or second.
    """

    requests: int = 0
    """Requests that ended, however they ended."""
    images: int = 0
    """Images that were delivered."""
    pixels: int = 0
    device_microseconds: int = 0
    """Time in which a device generated; for a request that was cancelled while it ran, the time since its start."""
    failed: int = 0
    cancelled: int = 0

    def __add__(self, other: "UsageFigures") -> "UsageFigures":
        return UsageFigures(
            requests=self.requests + other.requests,
            images=self.images + other.images,
            pixels=self.pixels + other.pixels,
            device_microseconds=self.device_microseconds + other.device_microseconds,
            failed=self.failed + other.failed,
            cancelled=self.cancelled + other.cancelled,
        )

    @property
    def megapixels(self) -> float:
        return self.pixels / 1e6

    @property
    def device_seconds(self) -> float:
        return self.device_microseconds / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """Figures of the requests that agree in the fields that are not None."""

    day: date | None = None
    user: str | None = None
    key_id: str | None = None
    """Empty if the key is unknown."""
    app: str | None = None
    figures: UsageFigures


def day_number(day: date) -> int:
    """Return the days since 1970-01-01."""
    return day.toordinal() - _EPOCH


def day_from_number(number: int) -> date:
    return date.fromordinal(number + _EPOCH)
