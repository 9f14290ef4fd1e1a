"""fal's own JavaScript client on Node, unmodified, in both ways to point it at a service of one's own.

Over plain HTTP: unlike fal's Python clients it is not bound to TLS.
"""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.behind_tls import FAL_IDS
from tests.clients.installed import HERE
from tests.support.images import png
from tests.support.installed import NODE, node_modules
from tests.support.service import Service

WAYS = ["requestMiddleware", "proxyUrl"]
FAILING_BACKEND = "tests.support.backends.while_generating.raises:Backend"


def start_node(
    folder: Path, script: Path, *arguments: str, service: Service, **variables: str
) -> "subprocess.Popen[str]":
    """Run a script in `folder`, where it finds fal's client; `variables` are further ones, or go before ours."""
    folder.mkdir(exist_ok=True)
    (folder / "node_modules").symlink_to(node_modules())
    copied = shutil.copy(script, folder)
    return subprocess.Popen(
        [str(NODE), str(copied), *arguments],
        cwd=folder,
        env=os.environ
        | {"SERVICE_URL": service.url, "FAL_KEY": service.key, "PIPELET_API_KEY": service.key}
        | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By way, what `calls.mjs` saw of one service, at the same time."""
    folder = tmp_path_factory.mktemp("fal-javascript")
    node_modules()  # before anything is started that would have to be stopped
    seen = {}
    with Service(folder, backend=FAILING_BACKEND, catalog=FAL_IDS) as service:
        script = HERE / "node" / "calls.mjs"
        image = base64.b64encode(png()).decode()
        limited = {way: limited_key(service, way.lower()) for way in WAYS}
        running = {
            way: start_node(folder / way, script, way, service=service, IMAGE=image, LIMITED_KEY=key)
            for way, key in limited.items()
        }
        for way, process in running.items():
            out, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
            seen[way] = json.loads(out)
    return seen


def limited_key(service: Service, name: str) -> str:
    """A key whose requests may wait with one image."""
    made = service.run("keys", "create", name, "--max-queued-images", "1")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.fixture(params=WAYS)
def seen(both: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(both[request.param])


def test_subscribe_sees_every_state_and_the_result(seen: dict[str, Any]) -> None:
    """Updates with growing logs, the result with its id, and the same by id afterwards."""
    polled = seen["polled"]

    assert "COMPLETED" == polled["statuses"][-1]
    assert "IN_PROGRESS" in polled["statuses"]
    assert set(polled["statuses"]) <= {"IN_QUEUE", "IN_PROGRESS", "COMPLETED"}
    assert sorted(polled["counts"]) == polled["counts"]
    assert polled["counts"][-1] > 0
    assert polled["enqueued"] == polled["requestId"] == polled["again"]["requestId"]
    image = polled["data"]["images"][0]
    assert (96, 64, 5, "image/png") == (image["width"], image["height"], image["seed"], image["content_type"])
    assert image["file_name"] == polled["again"]["data"]["images"][0]["file_name"]


def test_a_status_has_what_the_client_declares(seen: dict[str, Any]) -> None:
    """Logs are null where they are not asked for, and the URLs are there."""
    status = seen["polled"]["status"]

    assert status["logs"] is None
    assert status["metrics"]["inference_time"] > 0
    assert status["response_url"].endswith(f"/requests/{seen['polled']['requestId']}")


def test_subscribe_by_streaming_sees_what_polling_sees(seen: dict[str, Any]) -> None:
    """Every state, each log line once, and the result; the stream ends when the request does."""
    streamed = seen["streamed"]

    assert ("COMPLETED", 1) == (streamed["statuses"][-1], streamed["images"])
    assert "IN_PROGRESS" in streamed["statuses"]
    assert set(streamed["statuses"]) <= {"IN_QUEUE", "IN_PROGRESS", "COMPLETED"}
    assert streamed["polled"] == streamed["logs"][-1]


def test_a_stream_of_events_can_be_read_by_hand(seen: dict[str, Any]) -> None:
    """Each event is a status, the last one says how it ended, and characters of any length arrive whole."""
    by_hand, reason = seen["streamedByHand"], "No pictures of this: refuse 狐 and 🦊"

    assert by_hand["requestId"] == by_hand["id"] == by_hand["events"][0]["request_id"]
    assert by_hand["last"] == by_hand["events"][-1]
    assert ("COMPLETED", reason) == (by_hand["last"]["status"], by_hand["last"]["error"])
    assert reason == by_hand["last"]["logs"][-1]["message"]


def test_a_stream_of_an_unknown_request_is_refused(seen: dict[str, Any]) -> None:
    """The client's `done` is rejected at once."""
    assert (404, "ApiError") == (seen["streamedByHand"]["unknown"]["status"], seen["streamedByHand"]["unknown"]["name"])


def test_a_result_asked_for_too_early_is_refused_for_now(seen: dict[str, Any]) -> None:
    """The client gets an error at once, with the reason as its message; later the result is there."""
    early = seen["early"]

    assert (400, "Request is still in progress") == (early["tooSoon"]["status"], early["tooSoon"]["message"])
    assert 1 == early["later"]


def test_cancel_tells_the_truth(seen: dict[str, Any]) -> None:
    """A waiting request is cancelled, twice without complaint; one that has begun, ended or never was is not."""
    cancelled = seen["cancelled"]

    assert 1 <= cancelled["place"]
    assert {} == cancelled["first"] == cancelled["second"]
    assert ("COMPLETED", "client_cancelled") == (cancelled["status"]["status"], cancelled["status"]["error_type"])
    assert (400, "ALREADY_IN_PROGRESS") == (cancelled["running"]["status"], cancelled["running"]["body"]["status"])
    assert (400, "ALREADY_COMPLETED") == (cancelled["finished"]["status"], cancelled["finished"]["body"]["status"])
    assert (404, "NOT_FOUND") == (cancelled["unknown"]["status"], cancelled["unknown"]["body"]["status"])


def test_the_result_of_a_cancelled_request_says_so(seen: dict[str, Any]) -> None:
    """499 has no words of its own in HTTP; the error has a message all the same."""
    result = seen["cancelled"]["result"]

    assert (499, "ApiError") == (result["status"], result["name"])
    assert "Request cancelled by the client." == result["message"]
    assert "client_cancelled" == result["body"]["error_type"]


def test_bad_input_names_its_fields(seen: dict[str, Any]) -> None:
    """A `ValidationError` with every fault, at the field it belongs to; no input at all is one, too."""
    misspelt, empty = seen["refused"]["misspelt"], seen["refused"]["empty"]

    assert "ValidationError" == misspelt["name"] == empty["name"]
    assert {"heigth", "width"} == {fault["loc"][-1] for fault in misspelt["fieldErrors"]}
    assert any("height" in fault["msg"] for fault in misspelt["fieldErrors"])
    assert [["body", "prompt"]] == [fault["loc"] for fault in empty["fieldErrors"]]


def test_refusals_have_a_message(seen: dict[str, Any]) -> None:
    """A wrong key, an app and a request that there are not: each says so in words."""
    refused = seen["refused"]

    assert [401, 404, 404] == [refused[name]["status"] for name in ("key", "app", "request")]
    for name in ("key", "app", "request"):
        assert " " in refused[name]["message"]


def test_what_the_model_cannot_draw_is_a_validation_error(seen: dict[str, Any]) -> None:
    """The result answers 422; characters of any length in the reason and in the logs arrive whole."""
    unable, reason = seen["unable"], "No pictures of this: refuse 狐 and 🦊"

    assert ("COMPLETED", reason) == (unable["status"]["status"], unable["status"]["error"])
    assert reason == unable["status"]["logs"][-1]["message"]
    assert ("ValidationError", 422) == (unable["result"]["name"], unable["result"]["status"])
    assert [reason] == [fault["msg"] for fault in unable["result"]["fieldErrors"]]
    assert unable["requestId"] == unable["result"]["requestId"]


def test_a_pipeline_that_breaks_is_an_error_at_once(seen: dict[str, Any]) -> None:
    """The result answers 500, which the client does not try again, and names the request."""
    broken = seen["broken"]

    assert (500, "internal_server_error") == (broken["result"]["status"], broken["result"]["body"]["error_type"])
    assert "ZeroDivisionError" in broken["result"]["message"]
    assert broken["requestId"] == broken["result"]["requestId"]


def test_a_client_that_waits_no_longer_cancels(seen: dict[str, Any]) -> None:
    """`timeout` ends the waiting, and takes the request out of the queue."""
    timed_out = seen["timedOut"]

    assert "timed out" in timed_out["error"]["message"]
    assert "client_cancelled" == timed_out["status"]["error_type"]


def test_what_did_not_begin_in_time_is_the_users_own_timeout(seen: dict[str, Any]) -> None:
    """With `startTimeout` it ends by itself; its result is a 504 that the client knows not to ask for again."""
    late = seen["late"]

    assert ("COMPLETED", "request_timeout") == (late["status"]["status"], late["status"]["error_type"])
    assert (504, True) == (late["result"]["status"], late["result"]["isUserTimeout"])
    assert late["waited"] < 1000


def test_run_answers_with_the_result(seen: dict[str, Any]) -> None:
    """The call without a queue gets the pictures, the id of its request, and errors as everywhere."""
    run = seen["run"]

    assert 2 == run["images"]
    assert 20 == len(run["requestId"])
    assert ("ValidationError", 422) == (run["bad"]["name"], run["bad"]["status"])


def test_fals_own_ids_need_no_change(seen: dict[str, Any]) -> None:
    """fal's input, several images, fal's output alone; by polling, by a stream, in `sync_mode`, behind a limit."""
    by_id = seen["byId"]

    assert [[512, 512]] * 2 == [[image["width"], image["height"]] for image in by_id["data"]["images"]]
    assert {"images", "timings", "seed", "has_nsfw_concepts", "prompt"} == by_id["data"].keys()
    assert "COMPLETED" == by_id["statuses"][-1]
    assert [1, 1, "data:image/png;base64,"] == [*by_id["images"], by_id["inline"][:22]]


def test_what_is_refused_at_an_id_says_so(seen: dict[str, Any]) -> None:
    """Bad input at fal's own field, a wrong key, an id that is not served, and a cancelled request."""
    by_id = seen["byId"]

    assert ("ValidationError", ["body", "image_size"]) == (by_id["bad"]["name"], by_id["bad"]["fieldErrors"][0]["loc"])
    assert [401, 404] == [by_id[name]["status"] for name in ("key", "app")]
    assert "fal-ai/z-image/turbo" in by_id["app"]["message"]
    assert (499, "client_cancelled") == (by_id["cancelled"]["status"], by_id["cancelled"]["body"]["error_type"])


def test_files_are_uploaded(seen: dict[str, Any]) -> None:
    """A Blob in the input, and `storage.upload` with a lifecycle; a file that is too large is refused unsent."""
    uploads = seen["uploads"]

    assert [[96, 64], [96, 64]] == [[image["width"], image["height"]] for image in uploads["images"]]
    assert (413, True) == (uploads["large"]["status"], "20 MiB at most" in uploads["large"]["message"])
    assert "SVG" in uploads["svg"]["message"]
