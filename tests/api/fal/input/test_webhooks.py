"""What a submit says about its webhook, and the keys that receivers check with."""

import base64
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipelet.domain.ids import new_token
from pipelet.domain.webhooks.delivery import Webhook, WebhookEvent
from pipelet.domain.webhooks.signing_keys import initial_keys
from tests.api.service import Service
from tests.support.jobs import APP

URL = f"/fal/queue/{APP}"
GOOD = "https://example.com:8443/hook%20a?token=a%2Fb&x=1"


async def test_the_target_is_kept_with_the_request(service: Service) -> None:
    """As it was meant: percent-encoded once by the caller; and our address as the caller knows it."""
    response = await service.client.post(f"{URL}?fal_webhook={quote(GOOD, safe='')}", json={"prompt": "a"})
    job = await service.store.jobs.get(response.json()["request_id"])

    assert response.status_code == 200
    assert job is not None
    assert Webhook(GOOD, "example.com:8443", "http://pipelet.test") == job.webhook


async def test_a_request_with_a_webhook_is_polled_as_any_other(service: Service) -> None:
    """Users sweep up what a webhook did not tell them."""
    response = await service.client.post(URL, params={"fal_webhook": GOOD}, json={"prompt": "a"})
    request_id = response.json()["request_id"]
    await service.succeed(await service.claim())

    assert "COMPLETED" == (await service.client.get(service.status_path(request_id))).json()["status"]
    assert 200 == (await service.client.get(service.result_path(request_id))).status_code


async def test_names_of_every_script_can_be_called(service: Service) -> None:
    """A host is kept as the network knows it."""
    response = await service.client.post(URL, params={"fal_webhook": "https://bücher.example/ä"}, json={"prompt": "a"})
    job = await service.store.jobs.get(response.json()["request_id"])

    assert job is not None
    assert job.webhook is not None
    assert "xn--bcher-kva.example:443" == job.webhook.endpoint


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("", "absolute URL"),
        ("example.com/hook", "absolute URL"),
        ("/hook", "absolute URL"),
        ("ftp://example.com/hook", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("javascript:alert(1)", "http or https"),
        ("http:///hook", "absolute URL"),
        ("http://exa mple.com/", "absolute URL"),
        ("http://example.com:99999/", "port"),
        ("http://example.com:0/", "port"),
        ("http://[::1", "not a URL"),
        ("http://example.com/\n", "not a URL"),
        ("https://ann:secret@example.com/", "password"),
        ("https://example.com/#part", "ragment"),
        ("https://example.com/" + "a" * 2048, "2048 characters"),
        ("http://127.0.0.1:9/hook", "PIPELET_ALLOWED_NETWORKS"),
        ("http://localhost/hook", "PIPELET_ALLOWED_NETWORKS"),
        ("http://LOCALHOST./hook", "PIPELET_ALLOWED_NETWORKS"),
        ("http://app.localhost/hook", "PIPELET_ALLOWED_NETWORKS"),
        ("http://10.1.2.3/hook", "PIPELET_ALLOWED_NETWORKS"),
        ("http://169.254.169.254/latest", "PIPELET_ALLOWED_NETWORKS"),
        ("http://[::1]/hook", "PIPELET_ALLOWED_NETWORKS"),
        ("http://[::ffff:10.0.0.1]/hook", "PIPELET_ALLOWED_NETWORKS"),
        ("http://[fe80::1]/hook", "PIPELET_ALLOWED_NETWORKS"),
        ("http://2130706433/hook", "PIPELET_ALLOWED_NETWORKS"),
        ("http://0x7f.1/hook", "PIPELET_ALLOWED_NETWORKS"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_targets_that_could_not_be_called_are_refused(shared_service: Service, target: str, says: str) -> None:
    """At submit, saying why and where; nothing is queued."""
    response = await shared_service.client.post(URL, params={"fal_webhook": target}, json={"prompt": "a"})

    assert response.status_code == 422, response.text
    assert [["query", "fal_webhook"]] == [fault["loc"] for fault in response.json()["detail"]]
    assert says in response.json()["detail"][0]["msg"]
    assert says in response.json()["message"]
    assert {} == await shared_service.store.queue.counts()


async def test_two_targets_are_refused(service: Service) -> None:
    """Which one is meant is not ours to guess."""
    response = await service.client.post(
        URL, params=[("fal_webhook", GOOD), ("fal_webhook", GOOD)], json={"prompt": "a"}
    )

    assert response.status_code == 422


async def test_keys_are_published_padded_and_without_secrets(service: Service) -> None:
    """Without authentication, as fal's verifiers decode them; the next one, too."""
    del service.client.headers["Authorization"]
    pairs = iter([(b"p" * 32, b"\xff" * 32), (b"q" * 32, b"\xfe" * 32)])
    await service.store.outbox.update_keys(lambda keys: initial_keys(keys, lambda: next(pairs), service.clock.now()))
    response = await service.client.get("/.well-known/jwks.json")

    keys = response.json()["keys"]
    assert [("OKP", "Ed25519")] * 2 == [(key["kty"], key["crv"]) for key in keys]
    assert {b"\xff" * 32, b"\xfe" * 32} == {base64.urlsafe_b64decode(key["x"]) for key in keys}
    assert base64.urlsafe_b64encode(b"p" * 32).decode()[:40] not in response.text
    assert "max-age" in response.headers["cache-control"]


async def test_metrics_tell_what_waits(service: Service) -> None:
    """How many webhooks are due, and for how long the oldest."""
    await service.client.post(URL, params={"fal_webhook": GOOD}, json={"prompt": "a"})
    await service.succeed(await service.claim())
    service.clock.time += 90
    text = (await service.client.get("/metrics")).text
    values = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    delivery = await service.store.outbox.claim(
        new_token(), service.clock.now(), service.clock.now() + 9, busy_users=(), busy_endpoints=()
    )

    assert (1, 90) == (values["pipelet_webhooks_pending"], values["pipelet_webhooks_oldest_age_seconds"])
    assert 0 == values["pipelet_webhook_attempts_total"]
    assert delivery is not None


async def test_events_are_named_and_need_a_webhook(service: Service) -> None:
    """Those that there are, in any order; the end is always told. Others are refused by name."""
    url = f"/fal/queue/{APP}?fal_webhook=https%3A%2F%2Fexample.com%2F"
    assert (
        200
        == (await service.client.post(f"{url}&fal_webhook_events=progress,completed", json={"prompt": "a"})).status_code
    )
    job = (await service.claim()).job
    assert job.webhook is not None
    assert (WebhookEvent.PROGRESS,) == job.webhook.events
    for path in (f"{url}&fal_webhook_events=begun", f"/fal/queue/{APP}?fal_webhook_events=started"):
        refused = await service.client.post(path, json={"prompt": "a"})
        assert (422, ["query", "fal_webhook_events"]) == (refused.status_code, refused.json()["detail"][0]["loc"])
