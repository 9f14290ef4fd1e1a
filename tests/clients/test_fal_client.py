"""fal's own Python client, unmodified."""

import os
from typing import Any

import pytest

from tests.clients.behind_tls import behind_tls, seen_by
from tests.support.images import png

FAILING_BACKEND = "tests.support.backends.while_generating.raises:Backend"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `fal_calls.py` saw of a service behind TLS."""
    folder = tmp_path_factory.mktemp("fal")
    image = folder / "image.png"
    image.write_bytes(png())
    with behind_tls(folder, backend=FAILING_BACKEND) as running:
        limited = running.service.run("keys", "create", "cat", "--max-queued-images", "1").stdout.strip()
        return seen_by("fal_calls.py", os.environ | running.variables() | {"LIMITED_KEY": limited, "IMAGE": str(image)})


def test_polling_sees_every_state_and_the_result(seen: dict[str, Any]) -> None:
    """Submit, events with logs, status and result by handle and by id: all as fal's client expects them."""
    polled = seen["polled"]

    assert "Completed" == polled["events"][-1]
    assert "InProgress" in polled["events"]
    assert sorted(polled["logs"]) == polled["logs"]
    assert polled["logs"][-1] > 0
    assert ("Completed", None) == (polled["by_id"], polled["logs_unasked"])
    assert polled["inference_time"] > 0
    image = polled["result"]["images"][0]
    assert (96, 64, 5, "image/png") == (image["width"], image["height"], image["seed"], image["content_type"])
    assert polled["result"]["image"]["file_name"] == polled["result_by_id"]["image"]["file_name"]


def test_subscribe_waits_for_the_result(seen: dict[str, Any]) -> None:
    """The one-call way reports updates and returns both images; numbers may be strings."""
    assert "Completed" == seen["subscribed"]["seen"][-1]
    assert 2 == seen["subscribed"]["images"]


def test_cancel_tells_the_truth(seen: dict[str, Any]) -> None:
    """A waiting request is cancelled for good and its result says so; one that has begun, ended or never was is not."""
    cancelled = seen["cancelled"]

    assert ("Completed", "client_cancelled") == (cancelled["ended"], cancelled["error_type"])
    assert [499, "client_cancelled"] == cancelled["result_of_cancelled"][:2]
    assert 400 == cancelled["cancel_of_running"][0]
    assert 400 == cancelled["cancel_of_finished"][0]
    assert 404 == cancelled["cancel_of_unknown"][0]


def test_bad_input_is_an_error_at_once(seen: dict[str, Any]) -> None:
    """A misspelt field is refused at submit, and the message names the right one."""
    code, _, message = seen["refused"]["input"]

    assert 422 == code
    assert "height" in message


def test_an_unknown_id_is_an_error_at_once(seen: dict[str, Any]) -> None:
    """Nothing is tried again for 40 seconds: 404 is final."""
    assert 404 == seen["refused"]["status_of_unknown"][0] == seen["refused"]["result_of_unknown"][0]


def test_a_failure_is_seen_in_status_result_and_log(seen: dict[str, Any]) -> None:
    """What the model cannot draw is a 422 and what breaks is a 500; the reason is the same in all places."""
    unable, broken = seen["failed"]["unable"], seen["failed"]["broken"]

    assert [422, "value_error"] == unable["result"][:2]
    assert "No pictures of this: refuse 狐 and 🦊" == unable["error"] == unable["log"]
    assert unable["error"] in unable["result"][2]
    assert [500, "internal_server_error"] == broken["result"][:2]
    assert "ZeroDivisionError" in broken["error"]


def test_a_client_that_waits_no_longer_cancels(seen: dict[str, Any]) -> None:
    """`client_timeout` ends the waiting, and takes the request out of the queue."""
    assert {"timeout": 0.3, "then": "client_cancelled"} == seen["timed_out"]


def test_what_did_not_begin_in_time_is_an_error(seen: dict[str, Any]) -> None:
    """With `start_timeout` it ends by itself, and its result is a 504 at once."""
    assert "request_timeout" == seen["late"]["ended"]
    assert [504, "request_timeout"] == seen["late"]["result"][:2]


def test_run_answers_with_the_result(seen: dict[str, Any]) -> None:
    """The call without a queue gets the picture, and errors as everywhere."""
    assert 1 == seen["ran"]["images"]
    assert 422 == seen["ran"]["refused"][0]


def test_a_reached_limit_is_waited_out(seen: dict[str, Any]) -> None:
    """The client makes a submit again by itself until its key has room; none of the requests is lost."""
    assert [1, 1, 1, 1] == seen["limited"]


def test_the_asynchronous_client_gets_the_same(seen: dict[str, Any]) -> None:
    """By handle and by id, submitted, subscribed and run."""
    there = seen["asynchronously"]

    assert ("Completed", 1, 1, 1) == (there["last"], there["images"], there["subscribed"], there["ran"])
    assert "Completed" == there["by_id"][0]
    assert there["by_id"][1] > 0
    assert there["same"]


def test_the_asynchronous_client_is_refused_in_the_same_way(seen: dict[str, Any]) -> None:
    """Cancelled, failed, unknown, misspelt, and no longer waited for."""
    there = seen["asynchronously"]

    assert "client_cancelled" == there["timed_out"]
    assert [499, "client_cancelled"] == there["result_of_cancelled"][:2]
    assert [400, 404] == [there["cancel_of_finished"][0], there["cancel_of_unknown"][0]]
    assert [422, 500, 422] == [there["unable"][0], there["broken"][0], there["input"][0]]


def test_fals_own_ids_need_no_change(seen: dict[str, Any]) -> None:
    """fal's arguments, several images, and fal's output alone; `run` with `sync_mode`; a status by the id."""
    by_id = seen["by_id"]

    assert [[1024, 768]] * 2 == [[image["width"], image["height"]] for image in by_id["result"]["images"]]
    assert {"images", "timings", "seed", "has_nsfw_concepts", "prompt"} == by_id["result"].keys()
    assert ("Completed", "Completed") == (by_id["seen"][-1], by_id["by_id"])
    assert "data:image/png;base64," == by_id["inline"]
    assert 2 == by_id["limited"]


def test_what_is_refused_at_an_id_says_so(seen: dict[str, Any]) -> None:
    """Bad input, a wrong key, an id that is not served, and a cancelled request."""
    by_id = seen["by_id"]

    assert [422, 401, 404] == [by_id[name][0] for name in ("bad", "key", "app")]
    assert "num_images" in by_id["bad"][2]
    assert "fal-ai/z-image/turbo" in by_id["app"][2]
    assert [499, "client_cancelled"] == by_id["cancelled"][:2]


def test_files_are_uploaded(seen: dict[str, Any]) -> None:
    """By every way that the client has, and used in requests; a file that is too large or no image is refused."""
    uploaded = seen["uploaded"]

    assert [[96, 64]] * 4 == uploaded["sizes"]
    assert (413, True) == (uploaded["large"][0], "20 MiB at most" in uploaded["large"][2])
    assert (422, True) == (uploaded["svg"][0], "SVG" in uploaded["svg"][2])
