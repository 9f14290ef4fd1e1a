import json
import re
from functools import partial
from typing import Any

from tests.support.jobs import APP
from tests.support.service import Service
from tests.support.waiting import eventually


def cancelled(service: Service, target: str | None = None) -> str:
    query = f"?fal_webhook={target}" if target else ""
    _, body = service.call("POST", f"/fal/queue/{APP}{query}", {"prompt": "x", "width": 64, "height": 64})
    if target:
        assert service.call("PUT", body["cancel_url"])[0] == 202
    return str(body["request_id"])


def listed(service: Service, request_id: str, *arguments: str) -> dict[str, Any] | None:
    found = json.loads(service.run("webhooks", "list", "--json", *arguments).stdout)
    return next((dict(each) for each in found if each["request_id"] == request_id), None)


def test_the_list_tells_what_came_of_each_webhook(idle: Service) -> None:
    """The attempts, why they failed and when the next one is; for people and for programs."""
    request_id = cancelled(idle, "http://nowhere.invalid/hook")
    found = eventually(lambda: (each := listed(idle, request_id)) and each["attempts"] and each)
    shown = idle.run("webhooks", "list").stdout

    assert ("http://nowhere.invalid/hook", "waiting") == (found["url"], found["state"])
    assert found["next_attempt_at"] > found["ended_at"]
    assert [None] == [each["code"] for each in found["attempts"]][:1]
    assert "nowhere.invalid" in found["attempts"][0]["error"]
    assert any(request_id in line and "waiting" in line for line in shown.splitlines())
    assert listed(idle, request_id, "--failed") is None


def test_a_replay_makes_it_due(idle: Service) -> None:
    """The running service calls at once, as if for the first time: by itself it would make a third attempt much
    later."""
    request_id = cancelled(idle, "http://nowhere.invalid/again")

    def has_attempts(number: int) -> bool:
        found = listed(idle, request_id)
        return found is not None and len(found["attempts"]) >= number

    for attempts in (1, 2):
        eventually(partial(has_attempts, attempts))
        done = idle.run("webhooks", "replay", request_id)
        assert 0 == done.returncode, done.stderr

    eventually(partial(has_attempts, 3), within=10)


def test_only_what_has_a_webhook_and_has_ended_is_replayed(idle: Service) -> None:
    """Otherwise the command says what is in the way."""
    without = cancelled(idle)
    _, body = idle.call("POST", f"/fal/queue/{APP}?fal_webhook=http://nowhere.invalid/", {"prompt": "x", "width": 64})
    waiting, unknown = str(body["request_id"]), "0" * 20
    refusals = [idle.run("webhooks", "replay", each) for each in (without, waiting, unknown)]

    assert [1, 1, 1] == [each.returncode for each in refusals]
    assert ["without a webhook" in refusals[0].stderr, "not ended" in refusals[1].stderr] == [True, True]
    assert "no request" in refusals[2].stderr


def test_keys_are_rotated_when_receivers_know_the_next(idle: Service) -> None:
    """Not before they have been published for a day; leaked ones are replaced at once, everywhere."""
    before = idle.call("GET", "/.well-known/jwks.json")[1]["keys"]
    early = idle.run("webhooks", "rotate")
    leaked = idle.run("webhooks", "rotate", "--leaked")

    assert (1, 0) == (early.returncode, leaked.returncode)
    [hours] = re.findall(r"Rotate in ([0-9.]+) hours", early.stderr)
    assert 23 < float(hours) <= 24  # the service may have run for a while
    old = {key["x"] for key in before}
    assert 2 == len(old)
    eventually(lambda: not old & {key["x"] for key in idle.call("GET", "/.well-known/jwks.json")[1]["keys"]}, within=10)
