"""What the core asks of the outside world, and what each side promises.

Times are seconds since the epoch and are always handed in, so that a test can move them.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from pipelet.domain.errors import LimitReached
from pipelet.domain.estimate import Ahead, Learned, Work
from pipelet.domain.idempotency import IdempotencyKey
from pipelet.domain.job import CancelAnswer, Job, Lease, LogLine, NewLease, Version
from pipelet.domain.keys import ApiKey, KeyLimits
from pipelet.domain.outcome import Outcome
from pipelet.domain.progress import Progress
from pipelet.domain.webhook_keys import WebhookKey
from pipelet.domain.webhooks import Delivery, DeliveryReport, DeliveryState, Try, Undelivered
from pipelet.domain.workers import ReportAnswer, WorkerReport


class Clock(Protocol):
    """A clock of the real world; tests set their own."""

    def now(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Running:
    """A running job, as far as the estimate needs it."""

    app: str
    work: Work
    started_at: float
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Of one app."""

    queued: int
    running: int
    oldest_submitted_at: float | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """Of one app, since some moment."""

    requests: int
    images: int


class JobStore(Protocol):
    """The queue, durable: what was submitted, cancelled or finished survives a power cut once the call has returned.

    Claims, heartbeats and progress survive the death of every process, but a power cut may undo the last of them: then
    the job waits again. A write that raised did not happen.
    """

    clock: Clock
    """Where the times that are handed in come from: all who share the store have the same."""

    @property
    def outbox(self) -> "Outbox": ...

    async def check(self) -> None:
        """
        Raises:
            StoreUnusable: nothing can be read or written now, and why.
        """

    # -- requests ----------------------------------------------------------------------------------------------------

    async def submit(self, job: Job) -> Job:
        """Queue `job`; answers it with its `seq`.

        Raises:
            LimitReached: its key is limited, and its images would be more than may wait. Of several who submit at the
                same time, no two get the last room.
            ReferencesGone: a picture that it starts from is deleted, or will be soon.
        """

    async def submit_once(self, job: Job, key: IdempotencyKey) -> IdempotencyKey:
        """Queue `job`, unless its user's key stands for a request already. Answers what the key stands for now.

        Of several who submit with one key at the same time, exactly one queues its job.

        Raises:
            LimitReached, ReferencesGone: as `submit`; the key stays free.
        """

    async def find_idempotency_key(self, user: str, key: str, now: float) -> IdempotencyKey | None: ...

    async def note_references(self, job_id: str, keys: Sequence[str], delete_after: float) -> None:
        """Note the pictures that are about to be stored for a job that is not submitted yet: none is ever orphaned.

        `submit` takes the references of its job, which may be those of another job, too: they stay until the last of
        them lets go, when it is forgotten or ends without keeping its input. What no job has taken is unclaimed from
        `delete_after` on, and no longer taken some minutes before.
        """

    async def release_references(self, job_id: str, now: float) -> list[str]:
        """Let pictures that were noted for a job which was refused be deleted now. Returns their keys."""

    async def over_limit(self, key_id: str, images: int) -> LimitReached | None:
        """Whether so many images more are more than may wait of a key right now. `submit` is what decides."""

    async def get(self, job_id: str) -> Job | None: ...

    async def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        """By id; those that are not there are left out."""

    async def versions(self, ids: Sequence[str]) -> dict[str, Version]:
        """Of many at once, for much less than reading them; those that are not there are left out."""

    async def log(self, job: Job) -> list[LogLine]:
        """What happened to `job`, oldest first. It only grows."""

    async def ahead(self, job: Job, apps: Sequence[str]) -> Ahead:
        """What starts before the queued `job`, counting the apps that share its workers. Exact at any depth."""

    async def ahead_of_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, Ahead]:
        """As `ahead`, by id, in one query; those that do not wait any more are left out."""

    async def backlog(self, priority: int, apps: Sequence[str]) -> Ahead:
        """What would start before a request of `priority` that arrived now."""

    async def ahead_of_room(self, key_id: str, images: int, apps: Sequence[str]) -> Ahead | None:
        """What starts before so many of the queued images that count against a key's limit have begun; where they stand
        far behind, at least this much. None: not so many wait for these apps."""

    async def is_held_back(self, job: Job) -> bool:
        """Whether the queued `job` may not begin right now, because its key runs as many images as it may."""

    async def cancel(self, job_id: str, now: float, *, running: bool = False) -> CancelAnswer:
        """Cancel if it has not begun. Either this wins or the claim does, never both and never neither.

        With `running` its worker is told to stop where it has begun: see `cancels`.
        """

    # -- work --------------------------------------------------------------------------------------------------------

    async def claim(self, want: NewLease) -> Lease | None:
        """Begin the first queued job of the wanted apps: highest priority, then earliest arrival.

        Passed over are paused apps, the jobs that `want` names, jobs of a key that would then run more images than it
        may, and jobs whose `start_by` has passed.
        """

    async def extend(self, lease: Lease, expires_at: float) -> bool:
        """Keep a lease alive. False: it was lost, stop working on it."""

    async def report_progress(self, lease: Lease, progress: Progress) -> bool:
        """False: the lease was lost."""

    async def cancels(self, worker: str) -> set[str]:
        """Tokens of the leases that `worker` has on jobs which are to stop."""

    async def reserve_files(self, lease: Lease, keys: Sequence[str]) -> bool:
        """Note the files an attempt is about to write, all or none, so that none is ever orphaned.

        Raises:
            KeyError: one of the keys is taken. Draw others.
        Answers False when the lease was lost.
        """

    async def finish(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """End the attempt: the job gets its verdict, or goes back to its old place in the queue.

        False: the lease was lost.
        """

    async def requeue_expired(self, now: float) -> list[Job]:
        """End the attempts whose lease has run out, as interrupted. Answers the jobs as they are afterwards."""

    async def abandon(self, worker: str, now: float) -> list[Job]:
        """End the attempts of a worker that is known to be dead, without waiting for its leases, and free its name."""

    async def end_overdue(self, now: float, limit: int) -> int:
        """End up to `limit` queued jobs whose `start_by` has passed; answers how many. Either this wins or the claim.

        Of a job that was to be cancelled while it ran, and whose attempt was cut short, this is the end, too.
        """

    async def running(self, apps: Sequence[str]) -> list[Running]: ...

    def work_arrived(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set soon after somebody submits, or cancels what runs. A hint: it may come late or, rarely,
        not at all."""

    def changes(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """An event that is set soon after what the status of any request says may have changed: submits, claims,
        progress, ends, moves, pauses. A hint, as `work_arrived`; several changes may be one."""

    # -- housekeeping ------------------------------------------------------------------------------------------------

    async def delete_finished(self, before: float, now: float, limit: int) -> int:
        """Forget jobs that ended before `before`, or that their users wanted kept no longer than `now`, up to `limit`
        of each; their files become unclaimed. The latter stay while their webhook is due. Answers how many."""

    async def delete_idempotency_keys(self, now: float, limit: int) -> int:
        """Forget up to `limit` that have expired. Answers how many."""

    async def unclaimed_files(self, now: float, limit: int) -> list[str]:
        """Keys that were reserved and belong to no result: of forgotten jobs and, after a grace time, dead attempts."""

    async def forget_files(self, keys: Sequence[str]) -> None:
        """Drop the notes of files that are deleted."""

    async def truncate_log(self) -> None:
        """Empty the log of writes that an embedded database keeps, and with it what was deleted since. A hint: it does
        nothing while others read or write."""

    async def finished_since(self, since: float, limit: int) -> list[Job]:
        """Jobs that ended after `since`, earliest end first."""

    async def counts(self) -> dict[str, QueueCounts]: ...

    # -- operating ---------------------------------------------------------------------------------------------------

    async def pause(self, app: str, now: float) -> None:
        """From now on no job of `app` begins, until `resume`; what runs goes on. Pausing twice keeps the first time."""

    async def resume(self, app: str) -> bool:
        """False: it was not paused."""

    async def paused(self) -> dict[str, float]:
        """The paused apps, and since when."""

    async def move_to_front(self, job_id: str, now: float) -> bool:
        """Put a queued job before everything that waits now. False: it does not wait, or not any more."""

    async def list_queued(self, *, user: str | None = None, key_id: str | None = None) -> list[str]:
        """Ids of the queued jobs of a user, of a key, or of both, in the order of their submits."""

    async def cancel_queued(self, ids: Sequence[str], now: float) -> int:
        """Cancel those of `ids` that are queued, on behalf of the operator. Return how many this call cancelled.

        For each job either this wins or the claim, as with `cancel`.
        """

    async def drawn_since(self, since: float) -> dict[str, Drawn]:
        """What succeeded after `since`, by app."""

    # -- keys --------------------------------------------------------------------------------------------------------

    async def add_key(self, key: ApiKey) -> None: ...

    async def keys(self) -> list[ApiKey]: ...

    async def find_key(self, key_hash: bytes) -> ApiKey | None: ...

    async def revoke_key(self, key_id: str, now: float) -> bool:
        """False: there is no such key."""

    async def revoked_keys(self, since: float) -> set[str]:
        """Ids of the keys that were revoked at `since` or later."""

    async def limit_key(self, key_id: str, limits: KeyLimits) -> ApiKey | None:
        """Change the limits that are in `limits`, and no others. Return the key as it is then; None: there is none.

        Jobs that were submitted while it had no limit of images do not count against one.
        """

    # -- workers and what they taught us -----------------------------------------------------------------------------

    async def report_worker(self, report: WorkerReport) -> ReportAnswer:
        """Note that the worker lives, unless its name belongs to another process whose last report has not run out."""

    async def drain_worker(self, name: str, now: float) -> bool:
        """Have a worker claim nothing more, and end when what it draws is done: it learns so with its next report.

        False: no live worker has this name.
        """

    async def forget_worker(self, name: str, incarnation: str) -> None:
        """Free the name, unless another process has it by now."""

    async def live_workers(self, now: float) -> list[WorkerReport]: ...

    async def learn(self, kind: str, phase: str, work: Work, seconds: float) -> None:
        """Add one observation. `kind` is a worker's, `phase` is `draw` or `record`."""

    async def learned(self) -> dict[tuple[str, str], Learned]:
        """By worker kind and phase."""


class Outbox(Protocol):
    """Webhooks that are due. A job with a webhook that ends, in whatever way, is in here in the same transaction.

    At least once: nothing is forgotten before it is recorded, and no two try the same one at the same time, unless the
    first took longer than it said.
    """

    async def claim(
        self, token: str, now: float, expires_at: float, *, busy_users: Sequence[str], busy_receivers: Sequence[str]
    ) -> Delivery | None:
        """Begin the try that is due for the longest time, leaving out what is of busy users or for busy receivers.
        Until `expires_at` nobody else makes it."""

    async def record(self, delivery: Delivery, attempt: Try, state: DeliveryState, due_at: float | None) -> bool:
        """End a try. False: it took too long, somebody else has taken over."""

    async def hand_back(self, delivery: Delivery, now: float) -> None:
        """Give up a try as if it had not been made: it is due at once."""

    async def replay(self, job_id: str, now: float) -> bool:
        """Make it due now, with all tries before it. False: there is none of this job, or it is tried right now."""

    async def reports(self, state: DeliveryState | None, limit: int) -> list[DeliveryReport]:
        """What ended last comes first."""

    async def report(self, job_id: str) -> DeliveryReport | None: ...

    async def undelivered(self) -> Undelivered: ...

    async def keys(self) -> list[WebhookKey]:
        """Oldest first."""

    async def change_keys(self, change: Callable[[Sequence[WebhookKey]], Sequence[WebhookKey]]) -> None:
        """Put in place of the keys what `change` makes of them. Nobody else changes them meanwhile. Where `change`
        raises, they stay as they are."""


class BlobStore(Protocol):
    """Finished files. Every call may raise BlobsUnusable, which says what is wrong and how to mend it."""

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store under `key`; afterwards the file is there whole and durable, or not at all."""

    async def get(self, key: str) -> bytes:
        """What was stored under `key`.

        Raises:
            NotFound: there is no such file.
        """

    def url(self, key: str, *, now: float, base_url: str) -> str:
        """A URL that fetches the file without a key, for a limited time from `now`. `base_url` is our own address."""

    async def delete(self, key: str) -> None:
        """Delete; a key that is not there is fine."""

    async def check(self) -> None:
        """Raises BlobsUnusable, saying why, where nothing can be stored."""
