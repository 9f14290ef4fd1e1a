"""Rows to domain values and back, for any row that is read by column name."""

from typing import Any, Protocol


class Row(Protocol):
    def __getitem__(self, column: str, /) -> Any: ...
