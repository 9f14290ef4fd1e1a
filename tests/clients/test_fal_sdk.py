"""fal's SDK, unmodified: the third of fal's clients, with habits of its own."""

from typing import Any

import pytest

from tests.clients.behind_tls import behind_tls, seen_by
from tests.clients.installed import with_clients

FAILING_BACKEND = "tests.support.backends.while_generating.raises:Backend"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `sdk_calls.py` saw of a service behind TLS."""
    folder, inherited = tmp_path_factory.mktemp("fal-sdk"), with_clients()
    with behind_tls(folder, backend=FAILING_BACKEND) as running:
        environment = running.variables() | {
            "HOME": str(folder),  # nobody's own account with fal
            "FAL_KEY": f"any:{running.service.key}",  # it wants an id before the secret
        }
        return seen_by("sdk_calls.py", inherited | environment)


def test_the_code_of_a_status_says_when_it_has_ended(seen: dict[str, Any]) -> None:
    """202 until then, under paths with a slash at the end; logs when asked for, else null; the result afterwards."""
    submitted = seen["submitted"]

    assert "InProgress" in submitted["events"]
    assert set(submitted["events"]) <= {"Queued", "InProgress"}
    assert ("Completed", None) == (submitted["ended"], submitted["logs_unasked"])
    assert submitted["logs"] > 0
    assert [64, 5] == [submitted["result"]["images"][0]["width"], submitted["result"]["seed"]]


def test_run_waits_for_the_result(seen: dict[str, Any]) -> None:
    """`fal.apps.run` submits, polls and fetches."""
    assert 2 == seen["run"]


def test_a_cancelled_request_ends_with_499(seen: dict[str, Any]) -> None:
    """It is completed for the status, with the reason; its result is an error."""
    cancelled = seen["cancelled"]

    assert cancelled["place"] >= 0
    assert ["Completed", "client_cancelled"] == cancelled["ended"]
    assert 499 == cancelled["result"][0]
    assert "Request cancelled by the client." in cancelled["result"][1]


def test_what_the_model_cannot_draw_is_an_error_with_its_reason(seen: dict[str, Any]) -> None:
    """The result answers 422, in JSON, which the SDK shows."""
    assert 422 == seen["unable"][0]
    assert "No pictures of this: refuse" in seen["unable"][1]
