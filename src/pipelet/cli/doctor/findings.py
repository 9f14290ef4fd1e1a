"""Results of the checks of `pipelet doctor`."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class FindingState(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    state: FindingState
    detail: str
    fix: str = ""


def ok(detail: str) -> Finding:
    return Finding(FindingState.OK, detail)


def warn(detail: str, fix: str) -> Finding:
    return Finding(FindingState.WARN, detail, fix)


def fail(detail: str, fix: str) -> Finding:
    return Finding(FindingState.FAIL, detail, fix)


Check = Callable[[], Finding]
