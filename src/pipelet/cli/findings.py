"""What a check of `pipelet doctor` answers."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    state: State
    detail: str
    mend: str = ""


def ok(detail: str) -> Finding:
    return Finding(State.OK, detail)


def warn(detail: str, mend: str) -> Finding:
    return Finding(State.WARN, detail, mend)


def fail(detail: str, mend: str) -> Finding:
    return Finding(State.FAIL, detail, mend)


Check = Callable[[], Finding]
