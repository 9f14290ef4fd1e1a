"""The durable queue: what its users need from it, and what it guarantees.

Times are seconds since the epoch and are always passed in, so that a test can set them.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from pipelet.domain.capacity.cost_model import CostModel, Work, WorkAhead
from pipelet.domain.capacity.forecast import RunningJob
from pipelet.domain.capacity.workers import HeartbeatReply, WorkerHeartbeat
from pipelet.domain.errors import QuotaExceeded
from pipelet.domain.jobs.idempotency import IdempotencyKey
from pipelet.domain.jobs.job import AttemptSignals, CancelResult, ClaimRequest, Job, JobRevision, Lease, LogEntry
from pipelet.domain.jobs.outcome import CancelledBy, Outcome
from pipelet.domain.jobs.progress import Progress
from pipelet.domain.jobs.queue_order import AccountId, Arrival, QueueOrder
from pipelet.domain.ports.accounts import ApiKeyStore, AuditStore, SessionStore
from pipelet.domain.ports.changes import ChangeStore
from pipelet.domain.ports.clock import Clock
from pipelet.domain.ports.history import JobHistory
from pipelet.domain.ports.limits import LimitStore
from pipelet.domain.ports.newest_requests import NewestRequestStore
from pipelet.domain.ports.outbox import Outbox
from pipelet.domain.ports.previews import PreviewStore
from pipelet.domain.ports.reports import ReportStore
from pipelet.domain.ports.uploads import UploadStore
from pipelet.domain.ports.usage import UsageStore


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Queued and running requests of one app."""

    queued: int
    running: int
    oldest_submitted_at: float | None


@dataclass(frozen=True, slots=True)
class CompletedCounts:
    """Requests and images of one app that succeeded since some time."""

    requests: int
    images: int


class JobStore(Protocol):
    """Submitted requests, from submit to deletion."""

    async def submit(self, job: Job) -> Job:
        """Queue `job` and return it with its `seq`.

        Raises:
            QuotaExceeded: its key or its user is limited, and too many images would be queued, its user submits too
                fast, or stores too much. Of several concurrent submits, no two get the last room.
            InputImagesExpired: an input image is deleted, or will be soon.
        """

    async def submit_once(self, job: Job, key: IdempotencyKey) -> IdempotencyKey:
        """Queue `job`, unless its user's key already stands for a request. Return what the key stands for now.

        Of several concurrent submits with one key, exactly one queues its job.

        Raises:
            QuotaExceeded, InputImagesExpired: as `submit`; the key stays free.
        """

    async def find_idempotency_key(self, user: str, key: str, now: float) -> IdempotencyKey | None: ...

    async def get(self, job_id: str) -> Job | None: ...

    async def get_many(self, ids: Sequence[str]) -> dict[str, Job]:
        """Return jobs by id; unknown ids are left out."""

    async def revisions(self, ids: Sequence[str]) -> dict[str, JobRevision]:
        """Return the revisions of many jobs, which costs much less than reading them; unknown ids are left out."""

    async def log(self, job: Job) -> list[LogEntry]:
        """Return the history of `job`, oldest entry first. It only grows."""

    async def cancel(
        self, job_id: str, now: float, *, running: bool = False, by: CancelledBy = CancelledBy.USER
    ) -> CancelResult:
        """Cancel a job that has not started. Either this wins or the claim does, never both and never neither.

        Args:
            running: if the job has started, its worker is notified to stop: see `LeaseStore.list_signals`.
            by: who cancels it; the first cancel of a running job counts.
        """

    async def expire_overdue(self, now: float, limit: int) -> int:
        """End up to `limit` queued jobs past their `start_deadline`; return how many. Either this wins or the claim.

        It also ends a job whose attempt was cut short after a cancel request.
        """

    async def delete_finished(self, before: float, now: float, limit: int) -> int:
        """Delete jobs that ended before `before`, and jobs whose own retention is over at `now`, up to `limit` of each;
        return how many. Their files become orphans. The latter stay while their webhook is due."""

    async def delete_idempotency_keys(self, now: float, limit: int) -> int:
        """Delete up to `limit` expired keys; return how many."""

    async def finished_since(self, since: float, limit: int) -> list[Job]:
        """Return jobs that ended after `since`, earliest end first."""


class FileStore(Protocol):
    """Which stored files belong to which request. Every file is noted before it is written, so that none is lost."""

    async def reserve_input_files(
        self, job_id: str, keys: Sequence[str], delete_after: float, *, user: str = "", size: int = 0
    ) -> None:
        """Note the input files that are about to be stored for a job that is not submitted yet.

        From its submit on, `size` bytes of each count for `user`.

        `JobStore.submit` claims the input images of its job, which may belong to other jobs, too: a file stays until
        the last of these jobs is deleted or ends without keeping its input. A file that no job claims is an orphan from
        `delete_after` on, and cannot be claimed for some minutes before.
        """

    async def release_input_files(self, job_id: str, now: float) -> list[str]:
        """Make the input files of a refused job orphans at once. Return their keys."""

    async def reserve(self, lease: Lease, keys: Sequence[str]) -> bool:
        """Note the files that an attempt is about to write, all or none. Return False if the lease was lost.

        Raises:
            KeyError: one of the keys is taken. Use others.
        """

    async def note_thumbnail(self, job_id: str, key: str, size: int, delete_after: float) -> bool:
        """Note a thumbnail of an ended job before it is written; without `confirm_thumbnail` it is an orphan later.

        Return False if it is stored already, or if there is no such job.

        Args:
            size: bytes, which count as stored by the job's user from `confirm_thumbnail` on.
        """

    async def confirm_thumbnail(self, job_id: str, key: str) -> bool:
        """Keep a thumbnail that is written as long as its job. Return False if the job has been deleted."""

    async def orphaned(self, now: float, limit: int) -> list[str]:
        """Return keys that belong to no result: of deleted jobs and, after a grace time, of dead attempts."""

    async def delete_rows(self, keys: Sequence[str]) -> None:
        """Delete the notes of files that are deleted."""


class QueueStore(Protocol):
    """Queued and running jobs, and the operator's control of them."""

    async def work_ahead(self, job: Job, apps: Sequence[str]) -> WorkAhead:
        """Return what starts before the queued `job`, counting the apps that share its workers. Exact at any depth."""

    async def work_ahead_many(self, jobs: Sequence[Job], apps: Sequence[str]) -> dict[str, WorkAhead]:
        """As `work_ahead`, by id, in one query; jobs that are not queued any more are left out."""

    async def work_ahead_of_new(self, arrival: Arrival, apps: Sequence[str]) -> WorkAhead:
        """Return what would start before a request that arrived now, counting the apps that share its workers."""

    async def backlog(self, priority: int, apps: Sequence[str]) -> WorkAhead:
        """Return what waits with `priority` or a higher one."""

    async def work_until_quota_frees(
        self, key_id: str | None, images: int, apps: Sequence[str], *, user: str | None = None
    ) -> WorkAhead | None:
        """Return what starts before `images` of the queued images that count for a key, or for a user, have started, or
        a lower bound if they are far back in the queue. None: fewer of them are queued for these apps."""

    async def is_blocked_by_quota(self, job: Job) -> bool:
        """Whether the queued `job` cannot start right now because its key runs as many images as it may."""

    async def queued_quota_exceeded(self, key_id: str, images: int) -> QuotaExceeded | None:
        """Return the error if `images` more would exceed a key's limit right now. `JobStore.submit` is what decides."""

    async def running(self, apps: Sequence[str]) -> list[RunningJob]: ...

    async def counts(self) -> dict[str, QueueCounts]: ...

    async def completed_since(self, since: float) -> dict[str, CompletedCounts]:
        """Return what succeeded after `since`, by app."""

    async def pause(self, app: str, now: float) -> bool:
        """Start no more jobs of `app` until `resume`; running jobs finish. Return False if it was paused already: then
        it keeps the first time."""

    async def resume(self, app: str) -> bool:
        """Return False if the app was not paused."""

    async def paused(self) -> dict[str, float]:
        """Return the paused apps, and when each was paused."""

    async def order(self) -> QueueOrder: ...

    async def set_order(self, order: QueueOrder) -> None:
        """Let requests that arrive from now on take their places by `order`, in all processes. Those that wait keep
        theirs, before all that arrive in the order `fifo`."""

    async def set_priority(self, job_id: str, priority: int, now: float) -> bool:
        """Move a queued job to another priority, where it gets the turn of a request that arrives now. What its user
        was charged for it moves along. Return False if it is not queued."""

    async def delete_idle_accounts(self, after: AccountId | None, limit: int) -> AccountId | None:
        """Examine the `limit` accounts after `after`, all from the first one if it is None, and delete those that no
        turn depends on. Return the last one that was examined; None after the last of all: then the clocks without
        accounts are deleted, too."""

    async def move_to_front(self, job_id: str, now: float) -> bool:
        """Put a queued job before all others that wait now. Return False if it is not queued."""

    async def list_queued(self, *, user: str | None = None, key_id: str | None = None) -> list[str]:
        """Return the ids of the queued jobs of a user, of a key, or of both, in the order of their submits."""

    async def cancel_queued(self, ids: Sequence[str], now: float) -> int:
        """Cancel those of `ids` that are queued, on behalf of the operator. Return how many this call cancelled.

        For each job either this wins or the claim, as with `JobStore.cancel`.
        """


class LeaseStore(Protocol):
    """Claims of workers, and how their attempts end."""

    async def claim(self, want: ClaimRequest) -> Lease | None:
        """Start the first queued job of the wanted apps: highest priority, then earliest turn, then earliest arrival.

        Turns of two models have nothing in common: of their first jobs, the one that arrived earlier starts. Skipped
        are paused apps, the jobs that `want` excludes, jobs of a key that would then run more images than it may, and
        jobs whose `start_deadline` has passed.
        """

    async def renew(self, lease: Lease, expires_at: float) -> bool:
        """Keep a lease alive. Return False if it was lost: then the worker has to stop the attempt."""

    async def report_progress(self, lease: Lease, progress: Progress) -> AttemptSignals | None:
        """Return what users want of the attempt; None if the lease was lost."""

    async def list_signals(self, worker: str, now: float) -> dict[str, AttemptSignals]:
        """Return what users want of the attempts of `worker`, by lease token. Attempts are left out if users
        want nothing of them."""

    async def finish(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """End the attempt: the job gets its final state, or returns to its place in the queue.

        Return False if the lease was lost.
        """

    async def requeue_expired(self, now: float) -> list[Job]:
        """End the attempts whose lease has expired, as interrupted. Return the jobs as they are afterwards."""

    async def requeue_of_worker(self, worker: str, now: float) -> list[Job]:
        """End the attempts of a worker that is known to be dead, before its leases expire, and free its name."""


class WorkerStore(Protocol):
    """Live workers, and the costs that were observed on them."""

    async def heartbeat(self, report: WorkerHeartbeat) -> HeartbeatReply:
        """Note that the worker is alive, unless its name belongs to another process whose report has not expired."""

    async def drain(self, name: str, now: float) -> bool:
        """Tell a worker, with the reply to its next heartbeat, to claim no more and to exit when its jobs are done.

        Return False if no live worker has this name, or if it has been told already.
        """

    async def undrain(self, name: str, now: float) -> bool:
        """Take `drain` back. Return False if no live worker of this name is draining."""

    async def deregister(self, name: str, incarnation: str) -> None:
        """Free the name, unless another process has taken it over."""

    async def live(self, now: float) -> list[WorkerHeartbeat]: ...

    async def add_observation(self, profile: str, phase: str, work: Work, seconds: float) -> None:
        """Add one observation to the cost model of a worker's `profile`. `phase` is `generate` or `store`."""

    async def cost_models(self) -> dict[tuple[str, str], CostModel]:
        """Return the cost models by worker profile and phase."""


class Store(Protocol):
    """The queue, durable: a submit, a cancel and a result survive a power cut once the call has returned.

    Claims, heartbeats and progress survive the death of every process, but a power cut may undo the last of them: then
    the job waits again. A write that raised did not happen.
    """

    clock: Clock
    """The source of all times that are passed in: all processes that share the store have the same clock."""
    jobs: JobStore
    history: JobHistory
    files: FileStore
    uploads: UploadStore
    queue: QueueStore
    leases: LeaseStore
    api_keys: ApiKeyStore
    limits: LimitStore
    sessions: SessionStore
    audit: AuditStore
    workers: WorkerStore
    outbox: Outbox
    usage: UsageStore
    reports: ReportStore
    changes: ChangeStore
    previews: PreviewStore
    newest_requests: NewestRequestStore

    async def check(self) -> None:
        """Check that the database can be read and written now.

        Raises:
            StoreError: it cannot, and why.
        """

    def subscribe_work(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """Yield an event that is set soon after a submit, or after a user wants something of a running job: that it
        stops, or previews. A hint: it may come late or, rarely, not at all."""

    def subscribe_changes(self) -> AbstractAsyncContextManager[asyncio.Event]:
        """Yield an event that is set soon after the status of any request may have changed: submits, claims, progress,
        ends, moves, pauses. A hint, as `subscribe_work`; several changes may set it once."""

    async def truncate_log(self) -> None:
        """Empty the write-ahead log of an embedded database, and with it the deleted content. It does nothing while
        other connections read or write."""
