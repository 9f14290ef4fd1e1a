"""Diagnosis: the checks of an installation, and its settings."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CheckResult:
    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    fix: str
    """Empty if there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    checks: list[CheckResult]
    settings: Mapping[str, object]
    """By name, without secrets."""


Diagnose = Callable[[], Awaitable[Diagnosis]]
