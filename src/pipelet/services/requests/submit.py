"""Submit: limits, input images, priority, deadline and estimate of a valid input, until its job is queued."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from pipelet import tracing
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.capacity.cost_model import WorkAhead, generation_work
from pipelet.domain.catalog import App, Catalog
from pipelet.domain.errors import NotFound, QueueFull, QuotaExceeded
from pipelet.domain.generation.image import ImageSpec, InputImage
from pipelet.domain.generation.plan import plan_generation
from pipelet.domain.ids import new_request_id
from pipelet.domain.jobs.idempotency import TTL_SECONDS, IdempotencyKey
from pipelet.domain.jobs.job import MIN_PRIORITY, Job, JobState
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks.delivery import Webhook, WebhookEvent
from pipelet.services.accounts.authentication import Authenticator
from pipelet.services.accounts.limit_refusals import LimitRefusals, Reason, reason_of
from pipelet.services.input_images.loader import InputImageLoader
from pipelet.services.queue.estimates import Estimates
from pipelet.services.requests.idempotency import find_earlier, fingerprint, submit_once

log = structlog.get_logger()

MAX_SEED = 2**53 - 1
"""The largest seed: JSON parsers that read numbers as floats, such as JavaScript's, keep it exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOptions:
    """What a client may ask of the queue, next to its input."""

    idempotency_key: str | None = None
    start_timeout: float | None = None
    """Seconds within which the request has to start."""
    is_low: bool = False
    """The request gives way to others of its user's default priority."""
    no_retry: bool = False
    """An interrupted attempt is not repeated."""
    store_input: bool = True
    """False: prompt and input images are deleted when the request ends."""
    retention_seconds: float | None = None
    """Seconds for which the request and its files are kept after its end."""
    max_queue_length: int | None = None
    """Maximum number of waiting requests; the submit is refused if more wait."""
    webhook: str | None = None
    """The URL as it was sent."""
    webhook_events: tuple[WebhookEvent, ...] = ()
    """What it is to be told while the request runs."""


DEFAULT_OPTIONS = SubmitOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInput:
    """A valid input."""

    fields: Mapping[str, Any]
    """The input as the client sent it, which identifies a repeated submit."""
    priority: int | None
    image_urls: Sequence[str]
    """Empty unless the request is an edit."""
    values: Mapping[str, Any]
    """The fields of `ImageSpec`. `seed` may be None, and so may `width` and `height` of an edit."""
    inline_images: bool = False
    """The result is to hold the images themselves. Prompt and input images are then deleted when the request ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """A valid submit."""

    app: App
    key: ApiKey
    input: RequestInput
    base_url: str
    """The address of this service, as the client knows it."""
    webhook: Webhook | None = None
    options: SubmitOptions = DEFAULT_OPTIONS

    def effective_priority(self) -> int:
        """The priority that was sent, or else the default one that the key allows."""
        if self.input.priority is not None:
            return self.input.priority
        ceiling = self.key.priority_ceiling
        default = 0 if ceiling is None else min(0, ceiling)
        return max(default - 1, MIN_PRIORITY) if self.options.is_low else default

    def spec(self, images: tuple[InputImage, ...] = ()) -> ImageSpec:
        """Complete the values: with a random seed, and with the size of the first of `images` within the limits."""
        values, limits = dict(self.input.values), self.app.limits
        if values["seed"] is None:
            values["seed"] = secrets.randbelow(MAX_SEED + 1 - values["batch_size"])
        if images and None in (values["width"], values["height"]):
            size = images[0].size.clamp_sides(limits.min_side, limits.max_side, values["width"], values["height"])
            values |= {"width": size.width, "height": size.height}
        return ImageSpec(**values, input_images=images)


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """A request that is stored durably."""

    job: Job
    ahead: int
    """Number of requests that start before it."""
    is_replay: bool = False
    """An earlier submit with the same idempotency key made it."""


class SubmitObserver(Protocol):
    """Counts submits, such as the metrics."""

    def submitted(self, app: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class Submits:
    """Queues requests."""

    store: Store
    catalog: Catalog
    authenticator: Authenticator
    estimates: Estimates
    input_images: InputImageLoader
    observer: SubmitObserver
    refusals: LimitRefusals

    async def submit(self, new: NewRequest) -> SubmitResult:
        """Queue a request, or return the one that its idempotency key stands for.

        Raises:
            PipeletError: it is refused, and nothing was queued.
        """
        started_at, job_id, urls = self.store.clock.now(), new_request_id(), new.input.image_urls
        once = await self._idempotency_key(new, job_id)
        # Before the replay is looked for: the request of an earlier submit may have filled the quota.
        exceeded = await self._quota_exceeded(new)
        if once is not None and (earlier := await find_earlier(self.store, once)) is not None:
            return await self._replay(earlier)
        if exceeded is not None:
            raise await self._refused(new.app.name, new.key.user, new.key.id, exceeded)
        await self._check_queue_length(new)
        images: tuple[InputImage, ...] = ()
        if urls:
            images = await self.input_images.load_all(new.app, job_id, urls, user=new.key.user, base_url=new.base_url)
        async with AsyncExitStack() as unless_queued:
            key = new.key
            if urls:
                unless_queued.push_async_callback(self.input_images.discard, job_id)
                key = await self.authenticator.find(key.hash)  # loading took long, and the key may be revoked
            ahead = await self.estimates.work_ahead_of_new(new.app.name, new.effective_priority(), key.user)
            job = await self._build_job(new, key, job_id, new.spec(images), ahead)
            if (earlier := await self._enqueue(job, once)) is not None:
                return await self._replay(earlier)
            unless_queued.pop_all()
        structlog.contextvars.bind_contextvars(request_id=job_id)  # now, because a refused submit has no request
        self.observer.submitted(job.app)
        log.info("request.submitted", app=job.app, user=job.user, priority=job.priority)
        now, count = self.store.clock.now(), job.spec.batch_size
        tracing.record_root("submit", job.id, start=started_at, end=now, app=job.app, images=count)
        return SubmitResult(job, ahead.requests)

    async def _idempotency_key(self, new: NewRequest, job_id: str) -> IdempotencyKey | None:
        if new.options.idempotency_key is None:
            return None
        return IdempotencyKey(
            user=new.key.user,
            key=new.options.idempotency_key,
            fingerprint=await fingerprint(new.app, new.input.fields, new.options.webhook),
            job_id=job_id,
            expires_at=self.store.clock.now() + TTL_SECONDS,
        )

    async def _replay(self, job: Job) -> SubmitResult:
        ahead = await self.estimates.work_ahead(job) if job.state is JobState.QUEUED else None
        return SubmitResult(job, ahead.requests if ahead else 0, is_replay=True)

    async def _quota_exceeded(self, new: NewRequest) -> QuotaExceeded | None:
        """The exceeded limit of the key or its user, for an edit: before its images are fetched, decoded and stored.

        Other submits may exceed it later, so the submit itself checks again.
        """
        key, images = new.key, new.input.values["batch_size"]
        if not new.input.image_urls:
            return None
        if key.user_limits.apply_to_submits:
            quota = await self.store.limits.quota(key.user)
            if refusal := quota.refusal(images, self.store.clock.now()):
                return refusal
        if key.max_queued_images is None:
            return None
        return await self.store.queue.queued_quota_exceeded(key.id, images)

    async def _check_queue_length(self, new: NewRequest) -> None:
        """Count the waiting requests of all users for this app. Others may arrive at the same moment.

        Raises:
            QueueFull: more wait than the client allows.
        """
        allowed = new.options.max_queue_length
        if allowed is None:
            return
        queue = await self.store.queue.backlog(MIN_PRIORITY, [new.app.name])
        excess = queue.requests - allowed
        if excess > 0:
            message = (
                f"{queue.requests} requests wait for {new.app.name}, more than the {allowed} that this submit allows. "
                "Submit it again later, or allow more."
            )
            error = QueueFull(message, excess=excess)
            error.retry_after = await self.estimates.seconds_until_shorter(new.app.name, queue, excess)
            self.refusals.add(new.key.user, reason_of(error))
            raise error

    async def _enqueue(self, job: Job, once: IdempotencyKey | None) -> Job | None:
        """Queue `job` and return None, or return the earlier request that its idempotency key stands for."""
        try:
            if once is None:
                await self.store.jobs.submit(job)
                return None
            return await submit_once(self.store, job, once)
        except QuotaExceeded as error:
            raise await self._refused(job.app, job.user, job.key_id, error) from error

    async def _refused(self, app: str, user: str, key_id: str | None, error: QuotaExceeded) -> QuotaExceeded:
        """Count `error`, and add to it when a retry may succeed."""
        reason = reason_of(error)
        self.refusals.add(user, reason)
        if reason is Reason.QUEUED_IMAGES:
            whose = {"user": user} if error.is_of_user else {"key_id": key_id}
            error.retry_after = await self.estimates.seconds_until_quota_frees(app, error.excess, **whose)
        return error

    async def _build_job(self, new: NewRequest, key: ApiKey, job_id: str, spec: ImageSpec, ahead: WorkAhead) -> Job:
        now, options = self.store.clock.now(), new.options
        work = generation_work(plan_generation(spec, self.catalog.model_of(new.app)))
        return Job(
            id=job_id,
            app=new.app.name,
            user=key.user,
            priority=new.effective_priority(),
            spec=spec,
            work=work,
            submitted_at=now,
            estimated_seconds=await self.estimates.estimated_seconds(new.app.name, spec, work, ahead),
            model=self.estimates.model_of(new.app.name),
            turn_cost=await self.estimates.turn_cost(new.app.name, work),
            key_id=key.id,
            is_limited=key.has_limits,
            is_user_limited=key.user_limits.apply_to_submits,
            start_deadline=None if options.start_timeout is None else now + options.start_timeout,
            no_retry=options.no_retry,
            store_input=options.store_input and not new.input.inline_images,
            inline_images=new.input.inline_images,
            retention_seconds=options.retention_seconds,
            webhook=new.webhook,
        )


def require_app(catalog: Catalog, name: str) -> App:
    """
    Raises:
        NotFound: no app of this name takes requests.
    """
    app = catalog.apps.get(name)
    if app is not None and app.is_served:
        return app
    served = ", ".join(catalog.served_apps())
    if app is None:
        raise NotFound(f"There is no app of this name. Apps that take requests: {served}.")
    raise NotFound(f"The app {name} is known, but the model here cannot serve it. Apps that take requests: {served}.")
