"""Images as server-sent events: partial ones while they are generated, then each image, or an error.

Both of OpenAI's clients take a stream that breaks off for a whole one: it never ends without its images or an error.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping

from fastapi import Request
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from pipelet.api.connections import abort_connection, watch_disconnect
from pipelet.api.dependencies import Dependencies, StreamTimeouts
from pipelet.api.error_handlers import INTERNAL_ERROR, DescribedError, describe_error, on_unhandled_error
from pipelet.api.errors import as_json
from pipelet.api.openai.errors import error_document
from pipelet.api.openai.images import NO_USAGE, common_fields, with_base64
from pipelet.api.openai.partial_images import PartialImages
from pipelet.api.results.base64_images import chunks_of
from pipelet.api.results.waiting import failure_of, stop_error
from pipelet.domain.accounts.api_keys import ApiKey
from pipelet.domain.errors import PipeletError, StoreError
from pipelet.domain.jobs.job import Job
from pipelet.services.requests.previews import PreviewSubscription
from pipelet.services.requests.status import JobStatus
from pipelet.services.requests.status_feed import Subscription

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class _ClientGone(Exception):
    """It has closed the connection, or does not read."""


class ImageStream(EventSourceResponse):
    """
    Args:
        event: what the events' names begin with.
        partial_images: maximum number for each image; 0: none.
        may_be_repeated: the client may call again to get the result, so the request is not cancelled when it leaves.
    """

    def __init__(
        self,
        deps: Dependencies,
        job_status: JobStatus,
        key: ApiKey,
        *,
        event: str,
        partial_images: int,
        headers: Mapping[str, str],
        may_be_repeated: bool,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({**headers, **_HEADERS})
        self._deps = deps
        self._job_status = job_status
        self._key = key
        self._event = event
        self._most = partial_images
        self._may_be_repeated = may_be_repeated

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with watch_disconnect(receive) as disconnected:
            writer = _Writer(send, disconnected, self._deps.stream_timeouts)
            try:
                with self._deps.connection_limiter.hold(self._job_status.job.user):
                    await self._send_all(Request(scope), writer)
            except _ClientGone:
                if not self._may_be_repeated:
                    with contextlib.suppress(StoreError):  # it is generated then
                        await self._deps.waiting.cancel(self._job_status.job, running=True)
                if not disconnected.done():
                    abort_connection(scope)

    async def _send_all(self, request: Request, writer: "_Writer") -> None:
        try:
            await self._send_images(await self._wait(writer), writer)
        except _Ended as ended:
            await self._send_error(ended.error, writer)
        except PipeletError as error:
            await self._send_error(describe_error(request, error), writer)
        except (_ClientGone, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - a stream that just ended would be taken for a whole one
            await on_unhandled_error(request, error)
            await self._send_error(INTERNAL_ERROR, writer)
        await writer.write(b"", more=False)

    async def _wait(self, writer: "_Writer") -> Job:
        """Send partial images and comments until the request has succeeded.

        Raises:
            _Ended: it ends without images, or this process stops.
            _ClientGone: the client does not wait.
        """
        deps, job = self._deps, self._job_status.job
        with deps.status_feed.watch(self._job_status, self._key) as watch, self._watch_previews(watch) as previews:
            partial_images = self._partial_images(job)
            writer.on_disconnect(watch.updated.set)
            while not watch.job_status.job.state.is_final:
                if deps.status_feed.is_closed:
                    raise _Ended(await stop_error(deps, job, may_be_repeated=self._may_be_repeated))
                if not (watch.exists and watch.is_admitted):
                    break
                await writer.wait(watch.updated)
                watch.updated.clear()
                for preview in () if previews is None else previews.take().values():
                    await writer.write(partial_images.event(preview))
        await deps.authenticator.find(self._key.hash, refresh=True)
        job = await deps.statuses.get_job(job.id)
        if not job.state.is_final:  # see `wait_for_end`
            raise _Ended(await stop_error(deps, job, may_be_repeated=self._may_be_repeated))
        if (failed := failure_of(job)) is not None:
            raise _Ended(failed)
        return job

    @contextlib.contextmanager
    def _watch_previews(self, watch: Subscription) -> Iterator[PreviewSubscription | None]:
        if not self._most:
            yield None
            return
        job = self._job_status.job
        with self._deps.previews.watch([job.id], job.user, watch.updated) as previews:
            yield previews

    def _partial_images(self, job: Job) -> PartialImages:
        plan = self._deps.statuses.plan_of(job)
        steps = plan.denoise_steps + plan.refine_steps
        return PartialImages(job, event=self._event, most=self._most, steps=steps)

    async def _send_images(self, job: Job, writer: "_Writer") -> None:
        """Send an event for each image, whose file is read while it is sent."""
        name = f"{self._event}.completed"
        for number, image in enumerate(job.images):
            fields = {
                "type": name,
                "created_at": int(job.finished_at or job.submitted_at),
                **common_fields(job),
                "image_index": number,
                "seed": image.seed,
                "usage": NO_USAGE,
            }
            pieces = [f"event: {name}\ndata: ".encode(), *with_base64(fields, image), b"\n\n"]
            async with contextlib.aclosing(chunks_of(pieces, self._deps.blobs)) as chunks:
                async for chunk in chunks:
                    await writer.write(chunk)

    async def _send_error(self, error: DescribedError, writer: "_Writer") -> None:
        document = {"type": "error", **error_document(error)}
        # If an event is incomplete, this ends it, and clients cannot read it.
        await writer.write(b"\n\n" * writer.is_inside_event)
        await writer.write(format_sse_event(data_str=as_json(document).decode("ascii"), event="error"))


class _Ended(Exception):
    """The request ends without images."""

    def __init__(self, error: DescribedError) -> None:
        super().__init__(error.message)
        self.error = error


class _Writer:
    """Writes to one client.

    It sends a comment when it has sent nothing for a while. Changes of the request that are no events do not count.
    """

    def __init__(self, send: Send, disconnected: "asyncio.Task[None]", timeouts: StreamTimeouts) -> None:
        self._send = send
        self._disconnected = disconnected
        self._timeouts = timeouts
        self._now = asyncio.get_running_loop().time
        self._silent_until = self._now() + timeouts.keepalive
        self.is_inside_event = False

    def on_disconnect(self, notify: Callable[[], None]) -> None:
        self._disconnected.add_done_callback(lambda _: notify())

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """
        Raises:
            _ClientGone: the client is gone, or does not read.
        """
        if self._disconnected.done():
            raise _ClientGone
        if not body and more:
            return
        try:
            async with asyncio.timeout(self._timeouts.write):
                await self._send({"type": "http.response.body", "body": body, "more_body": more})
        except TimeoutError as error:
            raise _ClientGone from error
        self._silent_until = self._now() + self._timeouts.keepalive
        self.is_inside_event = bool(body) and not body.endswith(b"\n\n")

    async def wait(self, updated: asyncio.Event) -> None:
        """Wait for an event of a feed. Raises as `write`."""
        while not updated.is_set():
            try:
                async with asyncio.timeout_at(self._silent_until):
                    await updated.wait()
            except TimeoutError:
                await self.write(KEEPALIVE_COMMENT)
        if self._disconnected.done():
            raise _ClientGone
