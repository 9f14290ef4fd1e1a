"""Lists of requests: what a caller asks for, and the pages that the store returns."""

from dataclasses import dataclass
from typing import NamedTuple

from pipelet.domain.jobs.job import JobState

TEXT_WINDOW = 2000
"""Maximum number of requests that a search for a text looks at: the newest of the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which requests a list has. None leaves a criterion out; times are seconds since the epoch."""

    user: str | None = None
    key_id: str | None = None
    worker: str | None = None
    """The worker of the current or last attempt."""
    app: str | None = None
    state: JobState | None = None
    error_type: str | None = None
    priority: int | None = None
    since: float | None = None
    """Earliest submit."""
    until: float | None = None
    """Submits before."""
    text: str | None = None
    """A part of the prompt, in any case, or an id."""
    retried: bool | None = None
    """Whether it was retried: a copy was queued in its place."""

    @property
    def is_selective(self) -> bool:
        """Whether it leaves out requests other than by their user and their time."""
        about = self.key_id, self.worker, self.app, self.state, self.error_type, self.priority, self.text, self.retried
        return any(each is not None for each in about)

    @property
    def only_state(self) -> JobState | None:
        """The state, if it is the only criterion other than the time and whether they were retried."""
        is_only = self == JobFilter(state=self.state, since=self.since, until=self.until, retried=self.retried)
        return self.state if is_only else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whose prompts a search may look at."""

    user: str | None = None
    """Their own; None has none."""
    sees_content: bool = False
    """Whether also those of others, unless their input is not to be stored."""


class Place(NamedTuple):
    """A place in a list, which goes by the time of the submit, newest first."""

    submitted_at: float
    id: str


@dataclass(frozen=True, slots=True)
class JobIdPage:
    """Some ids of a list, in order."""

    ids: tuple[str, ...]
    states: tuple[JobState, ...]
    """States of the same requests, in the same order."""
    next: Place | None
    """The place after which the list continues; None at its end. A page may be short, or empty, before the end."""
