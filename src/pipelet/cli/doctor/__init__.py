"""Checks of the installation, for `pipelet doctor` and for every start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    state: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""


Check = Callable[[], Finding]


def ok(detail: str) -> Finding:
    return Finding("ok", detail)


def warn(detail: str, fix: str) -> Finding:
    return Finding("warn", detail, fix)


def fail(detail: str, fix: str) -> Finding:
    return Finding("fail", detail, fix)


def worst_of(findings: Sequence[Finding]) -> Finding:
    """Return all findings of one check as one, in the worst state of any, with a line for each."""
    state = max((each.state for each in findings), key=("ok", "warn", "fail").index)
    fixes = dict.fromkeys(each.fix for each in findings if each.fix)
    return Finding(state, "\n".join(each.detail for each in findings), " ".join(fixes))
