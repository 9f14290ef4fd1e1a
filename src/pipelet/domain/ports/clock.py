"""The clock of the real world."""

from typing import Protocol


class Clock(Protocol):
    """A clock of the real world; tests set their own."""

    def now(self) -> float: ...
