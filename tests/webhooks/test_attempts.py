"""Endpoints that fail, hang or may not be called: which webhooks are sent again, and when."""

import asyncio

import pytest

from pipelet.domain.webhooks.delivery import DeliveryState
from pipelet.domain.webhooks.retry import MAX_ATTEMPTS
from pipelet.webhooks.sender import MAX_IN_FLIGHT_PER_ENDPOINT, MAX_IN_FLIGHT_PER_USER
from tests.support.servers.web import Response, silence
from tests.webhooks import receiver as receivers
from tests.webhooks.conftest import SenderHarness
from tests.webhooks.receiver import Receiver


async def test_an_hour_of_errors_loses_nothing(harness: SenderHarness) -> None:
    """A receiver that responds with 500 for an hour is tried again and again, each time with a fresh stamp and
    signature; then it is told."""
    async with Receiver(receivers.status(500)) as receiver, harness.sending():
        job, began, attempts = await harness.end(receiver.url), harness.clock.now(), 0
        while True:
            attempts += 1
            call = await receiver.next_call()
            assert str(int(harness.clock.now())) == call.headers["x-fal-webhook-timestamp"]
            assert harness.is_genuine(await harness.published(), call)
            report = await harness.attempted(job, attempts)
            if report.due_at is None:
                break
            harness.clock.time = report.due_at
            if harness.clock.now() > began + 3600:
                receiver.response = receivers.status(204)

    assert (DeliveryState.DELIVERED, 204) == (report.state, report.attempts[-1].code)
    assert attempts >= 8
    assert {"retrying": attempts - 1, "delivered": 1} == harness.outcomes


async def test_an_endpoint_that_never_responds_well_is_given_up(harness: SenderHarness) -> None:
    """After at least ten attempts over at least two hours; a replay starts over."""
    async with Receiver(receivers.status(503)) as receiver, harness.sending():
        job = await harness.end(receiver.url)
        for attempts in range(1, MAX_ATTEMPTS + 1):
            report = await harness.attempted(job, attempts)
            if report.due_at is not None:
                harness.clock.time = report.due_at
        receiver.response = receivers.status(200)
        assert await harness.store.outbox.replay(job.id, harness.clock.now())
        replayed = await harness.attempted(job, MAX_ATTEMPTS + 1)

    assert DeliveryState.FAILED == report.state
    assert len(report.attempts) >= 10
    assert report.attempts[-1].at - report.attempts[0].at >= 7200
    assert DeliveryState.DELIVERED == replayed.state


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (receivers.status(302, Location="/elsewhere"), "responded with 302"),
        (receivers.status(404), "responded with 404"),
        (receivers.close_early, "RemoteProtocolError"),
        (silence, "no response within 0.3 seconds"),
        (receivers.trickle, "no response within 0.3 seconds"),
    ],
)
async def test_bad_responses_are_tried_again(harness: SenderHarness, response: Response, why: str) -> None:
    """A redirect is not followed; silence, and headers that never end, are waited for no longer than allowed."""
    async with Receiver(response) as receiver, harness.sending(timeout_seconds=0.3):
        report = await harness.attempted(await harness.end(receiver.url))

    assert DeliveryState.WAITING == report.state
    assert why in str(report.attempts[0].error)
    assert 1 == receiver.most_open


async def test_an_unreachable_endpoint_is_tried_again(harness: SenderHarness) -> None:
    """A port that is closed, and a name that does not exist."""
    async with Receiver() as receiver:
        pass
    async with harness.sending():
        jobs = [await harness.end(url) for url in (receiver.url, "http://nowhere.invalid/hook")]
        reports = [await harness.attempted(job) for job in jobs]

    assert [DeliveryState.WAITING] * 2 == [report.state for report in reports]


async def test_a_response_without_end_is_not_read(harness: SenderHarness) -> None:
    """Its status is enough: the connection is closed."""
    async with Receiver(receivers.never_end) as receiver, harness.sending(timeout_seconds=20):
        report = await harness.attempted(await harness.end(receiver.url))
        await asyncio.wait_for(receiver.idle.wait(), 10)

    assert DeliveryState.DELIVERED == report.state
    assert report.attempts[0].seconds < 10


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/hook", "http://localhost:{port}/hook"])
async def test_private_networks_are_not_called(harness: SenderHarness, good: Receiver, url: str) -> None:
    """Unless that is allowed, whatever the name says; it is not tried again."""
    async with harness.sending(everywhere=False):
        report = await harness.attempted(await harness.end(url.format(port=good.port)))

    assert DeliveryState.FAILED == report.state
    assert "PIPELET_ALLOWED_NETWORKS" in str(report.attempts[0].error)
    assert good.calls.empty()


async def test_gone_is_for_good(harness: SenderHarness) -> None:
    """After a 410, the endpoint gets no further call."""
    async with Receiver(receivers.status(410)) as receiver, harness.sending():
        report = await harness.attempted(await harness.end(receiver.url))

    assert DeliveryState.FAILED == report.state


async def test_an_endpoint_that_hangs_delays_no_other(harness: SenderHarness, good: Receiver) -> None:
    """A hundred calls wait for it, some of them at once; others are told at once, all the same."""
    async with Receiver(silence) as hanging:
        for _ in range(100):
            await harness.end(hanging.url)
        async with harness.sending(timeout_seconds=60):
            for _ in range(MAX_IN_FLIGHT_PER_ENDPOINT):
                await hanging.next_call()
            jobs = {(await harness.end(good.url)).id for _ in range(20)}
            told = {(await good.next_call()).message["request_id"] for _ in range(20)}

    assert jobs == told
    assert MAX_IN_FLIGHT_PER_ENDPOINT == hanging.most_open


async def test_a_user_whose_endpoints_all_hang_delays_no_other(harness: SenderHarness, good: Receiver) -> None:
    """A hundred names may lead to one server: what is called at once is limited for its user, too."""
    async with Receiver(silence) as hanging:
        for number in range(100):
            await harness.end(hanging.url, user="mallory", receiver=f"{number}.example.com:80")
        async with harness.sending(timeout_seconds=60):
            for _ in range(MAX_IN_FLIGHT_PER_USER):
                await hanging.next_call()
            jobs = {(await harness.end(good.url)).id for _ in range(20)}
            told = {(await good.next_call()).message["request_id"] for _ in range(20)}

    assert jobs == told
    assert MAX_IN_FLIGHT_PER_USER == hanging.most_open
