"""The sender, on both databases, with real endpoints."""

import json
from pathlib import Path

import structlog

from pipelet.api.operations.jwks import jwks
from pipelet.domain.jobs.outcome import Failure, FailureKind
from pipelet.domain.webhooks.delivery import DeliveryState, Webhook
from pipelet.domain.webhooks.signing_keys import initial_keys, rotate
from pipelet.store.sqlite import SqliteStore
from pipelet.webhooks.signing import generate_keypair
from tests.support.databases import Opener, new_sqlite
from tests.support.jobs import make_job
from tests.support.servers.web import silence
from tests.support.waiting import until
from tests.webhooks import receiver as receivers
from tests.webhooks.conftest import SenderHarness, harness_on
from tests.webhooks.receiver import Call, Receiver, verify


async def test_a_receiver_gets_the_result_signed(harness: SenderHarness, good: Receiver) -> None:
    """As fal's receivers expect it: whose request it was, the result with URLs that are signed now, and a signature
    over these very bytes that the published keys confirm."""
    async with harness.sending():
        job = await harness.end(good.url, user="Ada Łukasz")
        call = await good.next_call()
        report = await harness.attempted(job)

    keys = await harness.published()
    message = call.message
    assert (job.id, job.id, "OK") == (message["request_id"], message["gateway_request_id"], message["status"])
    assert [message["payload"]["image"]["data_uri"]] == message["payload"]["results"]
    assert [False] == message["payload"]["has_nsfw_concepts"]
    assert message["payload"]["results"][0].startswith(f"http://pipelet.test/files/outputs/{job.id}.png?")
    assert ("application/json", job.id) == (call.headers["content-type"], call.headers["x-fal-webhook-request-id"])
    assert "Ada%20%C5%81ukasz" == call.headers["x-fal-webhook-user-id"]
    assert harness.is_genuine(keys, call)
    assert (DeliveryState.DELIVERED, [200]) == (report.state, [each.code for each in report.attempts])
    assert {"delivered": 1} == harness.outcomes


async def test_sync_mode_has_urls_too(harness: SenderHarness, good: Receiver) -> None:
    """Images inside the body would be more than many endpoints accept. The prompt has been deleted at the end."""
    async with harness.sending():
        job = await harness.end(good.url, inline_images=True)
        payload = (await good.next_call()).message["payload"]

    [image] = payload["images"]
    assert image["url"].startswith(f"http://pipelet.test/files/outputs/{job.id}.png?")
    assert [image["url"]] == payload["results"]
    assert "" == payload["prompt"]


async def test_what_was_tampered_with_is_refused(harness: SenderHarness, good: Receiver) -> None:
    """A byte of the body, any of the headers, another's key, or a call that is kept and sent later."""
    async with harness.sending():
        await harness.end(good.url)
        call = await good.next_call()
    keys = await harness.published()
    assert harness.is_genuine(keys, call)

    changed = [Call(call.headers, call.body.replace(b'"OK"', b'"KO"'))]
    for name in ("request-id", "user-id", "timestamp", "signature"):
        header = f"x-fal-webhook-{name}"
        last = call.headers[header][-1]
        other = call.headers[header][:-1] + ("1" if last == "0" else "0")
        changed.append(Call({**call.headers, header: other}, call.body))
    others = jwks(initial_keys([], generate_keypair, 0.0))
    replayed_later = verify(keys, call.headers, call.body, now=harness.clock.now() + 301)

    assert [] == [each for each in changed if harness.is_genuine(keys, each)]
    assert not harness.is_genuine(others, call)
    assert not replayed_later


async def test_a_failure_is_told_with_its_reason(harness: SenderHarness, good: Receiver) -> None:
    """`ERROR`, in words and in the list that fal's receivers read."""
    async with harness.sending():
        job = await harness.end(good.url, failure=Failure(FailureKind.OUT_OF_MEMORY, "Too large."))
        message = (await good.next_call()).message

    assert (job.id, "ERROR", "Too large.") == (message["request_id"], message["status"], message["error"])
    assert ["Too large."] == [fault["msg"] for fault in message["payload"]["detail"]]
    assert "out_of_memory" == message["payload"]["error_type"]


async def test_a_cancelled_request_is_told(harness: SenderHarness, good: Receiver) -> None:
    """Its receiver waits for an end, too."""
    job = await harness.store.jobs.submit(make_job(webhook=Webhook(good.url, f"127.0.0.1:{good.port}", "http://x")))
    async with harness.sending():
        await harness.store.jobs.cancel(job.id, harness.clock.now())
        message = (await good.next_call()).message

    assert "client_cancelled" == message["payload"]["error_type"]


async def test_several_processes_tell_each_receiver_once(
    harness: SenderHarness, opener: Opener, good: Receiver
) -> None:
    """They share the work, and none of it is done twice."""
    jobs = [await harness.end(good.url) for _ in range(30)]
    async with opener() as second, harness.sending(), harness.sending(store=second):
        reports = [await harness.attempted(job) for job in jobs]

    assert {DeliveryState.DELIVERED} == {report.state for report in reports}
    assert 30 == good.calls.qsize()
    assert {job.id for job in jobs} == {good.calls.get_nowait().message["request_id"] for _ in jobs}


async def test_a_call_that_is_broken_off_by_a_stop_is_made_again(harness: SenderHarness) -> None:
    """The next sender makes it at once, and the attempt does not count."""
    async with Receiver(silence) as receiver:
        async with harness.sending(timeout_seconds=60):
            job = await harness.end(receiver.url)
            await receiver.next_call()
        receiver.response = receivers.status(200)
        async with harness.sending():
            report = await harness.attempted(job)

    assert [200] == [each.code for each in report.attempts]


async def test_a_stop_while_the_database_refuses_writes_ends_in_order(tmp_path: Path) -> None:
    """The call that was under way cannot be released; it is made again when its lease has expired."""
    async with harness_on(new_sqlite(tmp_path), tmp_path) as harness, Receiver(silence) as receiver:
        assert isinstance(harness.store, SqliteStore)
        writer = harness.store._writer._connection
        async with harness.sending(timeout_seconds=60):
            job = await harness.end(receiver.url)
            await receiver.next_call()
            writer.execute("PRAGMA query_only = ON")
        writer.execute("PRAGMA query_only = OFF")
        receiver.response = receivers.status(200)
        assert not await due(harness)
        harness.clock.time += 2 * 60 + 6
        async with harness.sending():
            report = await harness.attempted(job)

    assert [200] == [each.code for each in report.attempts]


async def due(harness: SenderHarness) -> bool:
    """Whether a call may be made now; if so, it is taken."""
    now = harness.clock.now()
    return await harness.store.outbox.claim("t", now, now, busy_users=[], busy_endpoints=[]) is not None


async def test_a_rotated_key_signs_at_once(harness: SenderHarness, good: Receiver) -> None:
    """And receivers that hold the keys of the day before confirm it."""
    kept = await harness.published()
    async with harness.sending():
        await harness.end(good.url)
        before = await good.next_call()
        await harness.store.outbox.update_keys(lambda keys: rotate(keys, generate_keypair, harness.clock.now()))
        await harness.end(good.url)
        after = await good.next_call()

    now = await harness.published()
    assert [True] * 4 == [harness.is_genuine(keys, call) for keys in (kept, now) for call in (before, after)]
    signing = [{"keys": [key]} for key in kept["keys"]]
    confirm = [[harness.is_genuine(key, call) for call in (before, after)] for key in signing]
    assert [[False, True], [True, False]] == sorted(confirm)


async def test_secrets_stay_out_of_the_log(harness: SenderHarness, good: Receiver) -> None:
    """A URL's path and query may be a password: the log names the receiver, and no key."""
    with structlog.testing.capture_logs() as lines:
        async with Receiver(receivers.status(500)) as receiver, harness.sending():
            await harness.attempted(await harness.end(f"{receiver.url}"))
            await harness.attempted(await harness.end(good.url))
            # An attempt is recorded before it is logged.
            await until(lambda: {"webhook.failed", "webhook.delivered"} <= {line["event"] for line in lines})

    text = json.dumps(lines, default=repr)
    assert "/hook" not in text
    assert "private" not in text
    assert "private" not in repr(await harness.store.outbox.keys())
