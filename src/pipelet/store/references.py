"""The pictures that a request starts from, as files of the store: noted before they are stored, taken by its submit."""

from typing import TypedDict

from pipelet.domain.errors import ReferencesGone
from pipelet.domain.job import Job

_MARGIN = 300.0
"""Seconds. What is to be deleted sooner than that is not taken any more: housekeeping may have begun by another clock's
reading, or before a commit that took long."""


class Taken(TypedDict):
    job_id: str
    keys: list[str]
    until: float


def to_take(job: Job) -> Taken | None:
    """What makes its references part of a new job; None where it has none."""
    if not job.spec.references:
        return None
    keys = sorted({each.key for each in job.spec.references})
    return {"job_id": job.id, "keys": keys, "until": job.submitted_at + _MARGIN}


def gone() -> ReferencesGone:
    return ReferencesGone(
        "The pictures that this request starts from are not stored any more. Submit it with them again."
    )
