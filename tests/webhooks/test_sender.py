"""The sender, on both databases, with real receivers, good and bad."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
import structlog

from pipelet.api.operations.jwks import jwks
from pipelet.blobs.disk import DiskBlobStore
from pipelet.domain.jobs.job import Job
from pipelet.domain.jobs.outcome import Failed, Failure, FailureKind
from pipelet.domain.ports.store import Store
from pipelet.domain.webhooks.delivery import MAX_ATTEMPTS, DeliveryReport, DeliveryState, Webhook
from pipelet.domain.webhooks.signing_keys import initial_keys, published_keys, rotate
from pipelet.outbound import public_only_client
from pipelet.webhooks.sender import MAX_IN_FLIGHT_PER_ENDPOINT, MAX_IN_FLIGHT_PER_USER, Sender
from pipelet.webhooks.signing import generate_keypair
from tests.store.conftest import opener as opener
from tests.support.jobs import FakeClock, claim_request, make_job, success
from tests.support.servers.web import Answer, silence
from tests.support.waiting import until
from tests.webhooks import receiver as receivers
from tests.webhooks.receiver import Call, Receiver, verify

LOOPBACK = (ip_network("127.0.0.0/8"),)
DAY = 86400.0


class Post:
    """A store with its clock set by the test, and what sends from it."""

    def __init__(self, store: Store, blobs: DiskBlobStore) -> None:
        self.store = store
        self.clock = FakeClock()
        self.blobs = blobs
        self.outcomes: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def sending(
        self, *, store: Store | None = None, timeout_seconds: float = 5.0, everywhere: bool = True
    ) -> AsyncIterator[None]:
        sender = Sender(
            store or self.store,
            self.blobs,
            self.clock,
            partial(public_only_client, allowed=LOOPBACK if everywhere else (), timeout=timeout_seconds),
            public_url=None,
            timeout_seconds=timeout_seconds,
            on_result=lambda outcome: self.outcomes.update([outcome]),
        )
        task = asyncio.create_task(sender.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def end(
        self, url: str, *, user: str = "ann", failure: Failure | None = None, receiver: str | None = None
    ) -> Job:
        """A request with this webhook, that has ended."""
        webhook = Webhook(url, receiver or url.split("/")[2], "http://pipelet.test")
        await self.store.jobs.submit(make_job(webhook=webhook, user=user))
        lease = await self.store.leases.claim(claim_request())
        assert lease is not None
        outcome = success(f"outputs/{lease.job.id}.png") if failure is None else Failed(failure)
        assert await self.store.leases.finish(lease, outcome, self.clock.now())
        return lease.job

    async def tried(self, job: Job, times: int = 1) -> DeliveryReport:
        """What is known once so many tries have ended."""

        async def ended() -> DeliveryReport | None:
            report = await self.store.outbox.get_delivery(job.id)
            return report if report is not None and len(report.attempts) >= times else None

        return await until(ended)

    def is_genuine(self, keys: dict[str, object], call: Call) -> bool:
        return verify(keys, call.headers, call.body, now=self.clock.now())

    async def published(self) -> dict[str, object]:
        return jwks(published_keys(await self.store.outbox.keys(), self.clock.now()))


@pytest.fixture
async def post(opener, tmp_path: Path) -> AsyncIterator[Post]:  # type: ignore[no-untyped-def]
    async with opener() as store:
        post = Post(store, DiskBlobStore(tmp_path / "files", signing_key=b"k" * 32, url_ttl_seconds=7200))
        await store.outbox.update_keys(lambda keys: initial_keys(keys, generate_keypair, post.clock.now() - 2 * DAY))
        yield post


@pytest.fixture
async def good() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def test_a_receiver_gets_the_result_signed(post: Post, good: Receiver) -> None:
    """As fal's receivers expect it: whose request it was, the result with URLs that are signed now, and a signature
    over these very bytes that the published keys confirm."""
    async with post.sending():
        job = await post.end(good.url, user="Ada Łukasz")
        call = await good.next_call()
        report = await post.tried(job)

    keys = await post.published()
    message = call.message
    assert (job.id, job.id, "OK") == (message["request_id"], message["gateway_request_id"], message["status"])
    assert [message["payload"]["image"]["data_uri"]] == message["payload"]["results"]
    assert [False] == message["payload"]["has_nsfw_concepts"]
    assert message["payload"]["results"][0].startswith(f"http://pipelet.test/files/outputs/{job.id}.png?")
    assert ("application/json", job.id) == (call.headers["content-type"], call.headers["x-fal-webhook-request-id"])
    assert "Ada%20%C5%81ukasz" == call.headers["x-fal-webhook-user-id"]
    assert post.is_genuine(keys, call)
    assert (DeliveryState.DELIVERED, [200]) == (report.state, [each.code for each in report.attempts])
    assert {"delivered": 1} == post.outcomes


async def test_what_was_tampered_with_is_refused(post: Post, good: Receiver) -> None:
    """A byte of the body, any of the headers, another's key, or a call that is kept and sent later."""
    async with post.sending():
        await post.end(good.url)
        call = await good.next_call()
    keys = await post.published()
    assert post.is_genuine(keys, call)

    changed = [Call(call.headers, call.body.replace(b'"OK"', b'"KO"'))]
    for name in ("request-id", "user-id", "timestamp", "signature"):
        header = f"x-fal-webhook-{name}"
        last = call.headers[header][-1]
        other = call.headers[header][:-1] + ("1" if last == "0" else "0")
        changed.append(Call({**call.headers, header: other}, call.body))
    others = jwks(initial_keys([], generate_keypair, 0.0))
    post_later = verify(keys, call.headers, call.body, now=post.clock.now() + 301)

    assert [] == [each for each in changed if post.is_genuine(keys, each)]
    assert not post.is_genuine(others, call)
    assert not post_later


async def test_a_failure_is_told_with_its_reason(post: Post, good: Receiver) -> None:
    """`ERROR`, in words and in the list that fal's receivers read."""
    async with post.sending():
        job = await post.end(good.url, failure=Failure(FailureKind.OUT_OF_MEMORY, "Too large."))
        message = (await good.next_call()).message

    assert (job.id, "ERROR", "Too large.") == (message["request_id"], message["status"], message["error"])
    assert ["Too large."] == [fault["msg"] for fault in message["payload"]["detail"]]
    assert "out_of_memory" == message["payload"]["error_type"]


async def test_a_cancelled_request_is_told(post: Post, good: Receiver) -> None:
    """Its receiver waits for an end, too."""
    job = await post.store.jobs.submit(make_job(webhook=Webhook(good.url, f"127.0.0.1:{good.port}", "http://x")))
    async with post.sending():
        await post.store.jobs.cancel(job.id, post.clock.now())
        message = (await good.next_call()).message

    assert "client_cancelled" == message["payload"]["error_type"]


async def test_an_hour_of_errors_loses_nothing(post: Post) -> None:
    """A receiver that answers 500 for an hour is tried again and again, each time with a fresh stamp and signature;
    then it is told."""
    async with Receiver(receivers.status(500)) as receiver, post.sending():
        job, began, attempts = await post.end(receiver.url), post.clock.now(), 0
        while True:
            attempts += 1
            call = await receiver.next_call()
            assert str(int(post.clock.now())) == call.headers["x-fal-webhook-timestamp"]
            assert post.is_genuine(await post.published(), call)
            report = await post.tried(job, attempts)
            if report.due_at is None:
                break
            post.clock.time = report.due_at
            if post.clock.now() > began + 3600:
                receiver.answer = receivers.status(204)

    assert (DeliveryState.DELIVERED, 204) == (report.state, report.attempts[-1].code)
    assert attempts >= 8
    assert {"retrying": attempts - 1, "delivered": 1} == post.outcomes


async def test_a_receiver_that_never_answers_well_is_given_up(post: Post) -> None:
    """After at least ten tries over at least two hours; a replay begins anew."""
    async with Receiver(receivers.status(503)) as receiver, post.sending():
        job = await post.end(receiver.url)
        for attempts in range(1, MAX_ATTEMPTS + 1):
            report = await post.tried(job, attempts)
            if report.due_at is not None:
                post.clock.time = report.due_at
        receiver.answer = receivers.status(200)
        assert await post.store.outbox.replay(job.id, post.clock.now())
        replayed = await post.tried(job, MAX_ATTEMPTS + 1)

    assert DeliveryState.FAILED == report.state
    assert len(report.attempts) >= 10
    assert report.attempts[-1].at - report.attempts[0].at >= 7200
    assert DeliveryState.DELIVERED == replayed.state


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (receivers.status(302, Location="/elsewhere"), "responded with 302"),
        (receivers.status(404), "responded with 404"),
        (receivers.close_early, "RemoteProtocolError"),
        (silence, "no response within 0.3 seconds"),
        (receivers.trickle, "no response within 0.3 seconds"),
    ],
)
async def test_bad_answers_are_tried_again(post: Post, answer: Answer, why: str) -> None:
    """A redirect is not followed; silence, and headers that never end, are waited for no longer than allowed."""
    async with Receiver(answer) as receiver, post.sending(timeout_seconds=0.3):
        report = await post.tried(await post.end(receiver.url))

    assert DeliveryState.WAITING == report.state
    assert why in str(report.attempts[0].error)
    assert 1 == receiver.most_open


async def test_nobody_there_is_tried_again(post: Post) -> None:
    """A port that is closed, and a name that does not exist."""
    async with Receiver() as receiver:
        pass
    async with post.sending():
        jobs = [await post.end(url) for url in (receiver.url, "http://nowhere.invalid/hook")]
        reports = [await post.tried(job) for job in jobs]

    assert [DeliveryState.WAITING] * 2 == [report.state for report in reports]


async def test_an_answer_without_end_is_not_read(post: Post) -> None:
    """Its status is enough: the connection is closed."""
    async with Receiver(receivers.never_end) as receiver, post.sending(timeout_seconds=20):
        report = await post.tried(await post.end(receiver.url))
        await asyncio.wait_for(receiver.idle.wait(), 10)

    assert DeliveryState.DELIVERED == report.state
    assert report.attempts[0].seconds < 10


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/hook", "http://localhost:{port}/hook"])
async def test_private_networks_are_not_called(post: Post, good: Receiver, url: str) -> None:
    """Unless that is allowed, whatever the name says; it is not tried again."""
    async with post.sending(everywhere=False):
        report = await post.tried(await post.end(url.format(port=good.port)))

    assert DeliveryState.FAILED == report.state
    assert "PIPELET_ALLOWED_NETWORKS" in str(report.attempts[0].error)
    assert good.calls.empty()


async def test_gone_is_for_good(post: Post) -> None:
    """Who answers 410 wants to hear no more."""
    async with Receiver(receivers.status(410)) as receiver, post.sending():
        report = await post.tried(await post.end(receiver.url))

    assert DeliveryState.FAILED == report.state


async def test_a_receiver_that_hangs_holds_up_nobody_else(post: Post, good: Receiver) -> None:
    """A hundred calls wait for it, some of them at once; others are told at once, all the same."""
    async with Receiver(silence) as hanging:
        for _ in range(100):
            await post.end(hanging.url)
        async with post.sending(timeout_seconds=60):
            for _ in range(MAX_IN_FLIGHT_PER_ENDPOINT):
                await hanging.next_call()
            jobs = {(await post.end(good.url)).id for _ in range(20)}
            told = {(await good.next_call()).message["request_id"] for _ in range(20)}

    assert jobs == told
    assert MAX_IN_FLIGHT_PER_ENDPOINT == hanging.most_open


async def test_a_user_whose_receivers_all_hang_holds_up_nobody_else(post: Post, good: Receiver) -> None:
    """A hundred names may lead to one server: what is called at once is limited for its user, too."""
    async with Receiver(silence) as hanging:
        for number in range(100):
            await post.end(hanging.url, user="mallory", receiver=f"{number}.example.com:80")
        async with post.sending(timeout_seconds=60):
            for _ in range(MAX_IN_FLIGHT_PER_USER):
                await hanging.next_call()
            jobs = {(await post.end(good.url)).id for _ in range(20)}
            told = {(await good.next_call()).message["request_id"] for _ in range(20)}

    assert jobs == told
    assert MAX_IN_FLIGHT_PER_USER == hanging.most_open


async def test_several_processes_tell_each_receiver_once(post: Post, opener, good: Receiver) -> None:  # type: ignore[no-untyped-def]
    """They share the work, and none of it is done twice."""
    jobs = [await post.end(good.url) for _ in range(30)]
    async with opener() as second, post.sending(), post.sending(store=second):
        reports = [await post.tried(job) for job in jobs]

    assert {DeliveryState.DELIVERED} == {report.state for report in reports}
    assert 30 == good.calls.qsize()
    assert {job.id for job in jobs} == {good.calls.get_nowait().message["request_id"] for _ in jobs}


async def test_a_call_that_is_broken_off_by_a_stop_is_made_again(post: Post) -> None:
    """At once by whoever sends next, and the try did not count."""
    async with Receiver(silence) as receiver:
        async with post.sending(timeout_seconds=60):
            job = await post.end(receiver.url)
            await receiver.next_call()
        receiver.answer = receivers.status(200)
        async with post.sending():
            report = await post.tried(job)

    assert [200] == [each.code for each in report.attempts]


async def test_a_rotated_key_signs_at_once(post: Post, good: Receiver) -> None:
    """And receivers that hold the keys of the day before confirm it."""
    kept = await post.published()
    async with post.sending():
        await post.end(good.url)
        before = await good.next_call()
        await post.store.outbox.update_keys(lambda keys: rotate(keys, generate_keypair, post.clock.now()))
        await post.end(good.url)
        after = await good.next_call()

    now = await post.published()
    assert [True] * 4 == [post.is_genuine(keys, call) for keys in (kept, now) for call in (before, after)]
    signing = [{"keys": [key]} for key in kept["keys"]]  # type: ignore[attr-defined]
    confirm = [[post.is_genuine(key, call) for call in (before, after)] for key in signing]
    assert [[False, True], [True, False]] == sorted(confirm)


async def test_secrets_stay_out_of_the_log(post: Post, good: Receiver) -> None:
    """A URL's path and query may be a password: the log names the receiver, and no key."""
    with structlog.testing.capture_logs() as lines:
        async with Receiver(receivers.status(500)) as receiver, post.sending():
            await post.tried(await post.end(f"{receiver.url}"))
            await post.tried(await post.end(good.url))

    text = json.dumps(lines, default=repr)
    assert {"webhook.failed", "webhook.delivered"} <= {line["event"] for line in lines}
    assert "/hook" not in text
    assert "private" not in text
    assert "private" not in repr(await post.store.outbox.keys())
