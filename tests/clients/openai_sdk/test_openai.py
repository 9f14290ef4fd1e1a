"""OpenAI's own clients, in Python and on Node, unmodified: they get a base URL and a key from the environment."""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.installed import with_clients
from tests.clients.snippets import snippets
from tests.docs.test_docs import ROOT, blocks
from tests.support.images import data_uri, png
from tests.support.installed import NODE, node_modules
from tests.support.jobs import APP, EDIT
from tests.support.service import Service
from tests.support.waiting import eventually

HERE = Path(__file__).parent
BACKEND = "tests.support.backends.previewing:PreviewingOrRaising"
CATALOG = f"""
[models.gradient]
source = "none"
backend = "{BACKEND}"
num_inference_steps = 8
max_input_images = 3
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By client, what its script saw of one service, at the same time; `stopped` is how its last stream ended."""
    folder = tmp_path_factory.mktemp("openai")
    node, catalog = folder / "node", folder / "edits.toml"
    node.mkdir()
    (node / "node_modules").symlink_to(node_modules())
    script = shutil.copy(HERE / "node" / "calls.mjs", node)
    catalog.write_text(CATALOG)
    ai = shutil.copy(HERE / "node" / "ai.mjs", node)
    commands = {"python": [sys.executable, str(HERE / "calls.py")], "javascript": [str(NODE), str(script)]}
    with Service(folder / "service", settings={"catalog": str(catalog)}) as service:
        service.wait_for_worker()
        recipes = _run_recipes(service, node)
        running = {name: _start(command, service, name) for name, command in commands.items()}
        with_ai = _start([str(NODE), str(ai)], service, "ai")
        try:
            seen_by_ai = _line(with_ai)
            seen = {name: {"calls": _line(process)} for name, process in running.items()}
            listed = eventually(lambda: _ended_requests(service), why="what was cancelled has stopped")
            for name, process in running.items():
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()
                seen[name]["streaming"] = _line(process)
            service.stop()
            for name, process in running.items():
                seen[name]["stopped"] = _line(process)
        finally:
            for process in (with_ai, *running.values()):
                process.kill()
                process.communicate()
    for name in seen:
        seen[name]["requests"] = listed
    return {**seen, "recipes": recipes, "ai": seen_by_ai}


def _run_recipes(service: Service, node: Path) -> dict[str, tuple[int, str]]:
    """Exit code and output of what the documentation and the page give to copy."""
    page, base = ROOT / "docs" / "use" / "openai.md", "http://127.0.0.1:8000"
    small = {"width": 96, "height": 64, "seed": 5, "batch_size": 2}
    fields = {"prompt": 'it\'s a "red"\n$HOME `apple` \\', **small}
    edit = {"prompt": "a hat", "image_urls": [data_uri(png())], "seed": 3}
    sources = {f"Python {number}": source for number, source in enumerate(blocks(page, "python"))}
    [sources["README"]] = blocks(ROOT / "README.md", "python")
    sources |= {f"JavaScript {number}": source for number, source in enumerate(blocks(page, "js"))}
    sources |= {"page": snippets(base, APP, fields)["OpenAI"], "page, edit": snippets(base, EDIT, edit)["OpenAI"]}
    files = {}
    for name, source in sources.items():
        files[name] = node / f"{name}.{'mjs' if name.startswith('JavaScript') else 'py'}"
        files[name].write_text(source.replace(base, service.url))
    scripts = [str(file) for file in files.values() if file.suffix == ".py"]
    commands = {"python": [sys.executable, str(HERE / "scripts.py"), *scripts]}
    commands |= {str(file): [str(NODE), str(file)] for file in files.values() if file.suffix == ".mjs"}
    variables = with_clients() | {"PIPELET_API_KEY": service.key}
    running = {
        name: subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name, command in commands.items()
    }
    done = {name: (process.communicate(timeout=60)[0], process.returncode) for name, process in running.items()}
    output, code = done.pop("python")
    assert code == 0, output
    by_file = {name: (code, output) for name, (output, code) in done.items()} | json.loads(output.splitlines()[-1])
    return {name: tuple(by_file[str(file)]) for name, file in files.items()}


def _ended_requests(service: Service) -> list[dict[str, Any]]:
    """All requests; none while one of them has not ended."""
    code, page = service.call("GET", "/api/v1/requests?limit=100")
    assert code == 200
    found = list(page["items"])
    return [] if {"queued", "running"} & {each["state"] for each in found} else found


def _start(command: list[str], service: Service, name: str) -> "subprocess.Popen[str]":
    limited = service.run("keys", "create", name, "--user", name, "--max-queued-images", "1")
    variables = {
        "OPENAI_BASE_URL": f"{service.url}/v1",
        "OPENAI_API_KEY": service.key,
        "LIMITED_KEY": limited.stdout.strip(),
        "IMAGE": base64.b64encode(png()).decode(),
    }
    return subprocess.Popen(
        command,
        env=with_clients() | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _line(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return json.loads(line)


@pytest.fixture(params=["python", "javascript"])
def seen(both: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(both[request.param])


def test_images_are_generated(seen: dict[str, Any]) -> None:
    """One with extra fields, several, and the URL that a client of DALL·E reads; the client knows the request's id."""
    generated = seen["calls"]["generated"]
    size, output_format, tokens, seed, url = generated["one"]

    assert ("96x64", "png", 0, 5) == (size, output_format, tokens, seed)
    assert "/files/outputs/" in url
    assert generated["bytes"] > 100
    assert generated["request_id"] in {each["id"] for each in seen["requests"]}
    assert [True, True, True] == generated["several"]
    assert None is generated["linked"][0]
    assert "/files/outputs/" in generated["linked"][1]


def test_images_are_edited(seen: dict[str, Any]) -> None:
    """From several images and from one; a mask is refused by name."""
    edited = seen["calls"]["edited"]

    assert ["96x64", [3, 4]] == edited["several"]
    assert "128x64" == edited["one"]
    assert ["BadRequestError", 400, "unsupported_parameter", "mask"] == edited["mask"][:4]
    assert "Masks are not supported" in edited["mask"][4]


def test_a_stream_has_partial_images(seen: dict[str, Any]) -> None:
    """Real ones while the images are generated, then each image."""
    *partial, one, other = seen["calls"]["streamed"]

    assert partial
    assert {("image_generation.partial_image", "24x16", True)} == {(each[0], each[2], each[3]) for each in partial}
    assert list(range(len(partial))) == [each[1] for each in partial]
    assert ["image_generation.completed", None, "96x64", True] == one == other
    assert ["image_edit.completed"] == seen["calls"]["streamed_edit"]


def test_refusals_have_their_class_and_reason(seen: dict[str, Any]) -> None:
    """Bad input, a bad key and an unknown model; what the model refuses and what breaks it, which is not retried."""
    refused = seen["calls"]["refused"]

    assert ["BadRequestError", 400, "integer_above_max_value", "n"] == refused["input"][:4]
    assert ["AuthenticationError", 401, "invalid_api_key"] == refused["key"][:3]
    assert ["NotFoundError", 404, "model_not_found"] == refused["model"][:3]
    assert ["BadRequestError", 400, "value_error"] == refused["unable"][:3]
    assert "No pictures of this: refuse this" in refused["unable"][4]
    assert ["InternalServerError", 500, "internal_server_error"] == refused["broken"][:3]
    assert ["APIError", None] == refused["stream"][:2]
    assert "No pictures of this: refuse it" in refused["stream"][4]
    prompts = [each["input"]["prompt"] for each in seen["requests"]]
    assert (1, 1) == (prompts.count("please 1"), prompts.count("please 2"))


def test_a_reached_limit_is_waited_out(seen: dict[str, Any]) -> None:
    """Refused where the client may not retry; otherwise it waits as long as it is told."""
    assert [[429, "queued_images_limit", "rate_limit_error"], 1, 1] == seen["calls"]["limited"]


def test_a_client_that_waits_no_longer_cancels(both: dict[str, Any]) -> None:
    """Its time is over, it hangs up, and its request is not generated."""
    for name, error in (("python", "APITimeoutError"), ("javascript", "APIConnectionTimeoutError")):
        assert error == both[name]["calls"]["hung_up"]
        [left] = [each for each in both[name]["requests"] if each["input"]["prompt"].startswith(f"long {name}")]
        assert "cancelled" == left["state"]


def test_models_are_listed(seen: dict[str, Any]) -> None:
    """The apps, and any of OpenAI's names by itself."""
    models = seen["calls"]["models"]

    assert {"listed": [APP, EDIT], "one": "gpt-image-1"}.items() <= models.items()
    assert ["NotFoundError", 404, "model_not_found"] == models["unknown"][:3]


def test_what_can_be_copied_runs(both: dict[str, Any]) -> None:
    """The calls of the documentation and of the page print URLs of images, or the events of a stream."""
    recipes = both["recipes"]

    assert {} == {name: output for name, (code, output) in recipes.items() if code != 0}
    assert "image_generation.completed 256x256" in recipes["Python 1"][1]
    for name in recipes.keys() - {"Python 1"}:
        assert "/files/outputs/" in recipes[name][1]
    assert 2 == recipes["page"][1].count("/files/outputs/")
    inputs = [each["input"] for each in both["python"]["requests"]]
    assert any(each["prompt"] == 'it\'s a "red"\n$HOME `apple` \\' and each["seed"] == 5 for each in inputs)


def test_a_stream_of_a_stopping_service_is_an_error(seen: dict[str, Any]) -> None:
    """Both clients would take one that is cut for a whole one."""
    assert "streaming" == seen["streaming"]
    assert "The service is stopping." in seen["stopped"][4]


@pytest.mark.parametrize("provider", ["openai", "compatible"])
def test_the_ai_sdk_gets_images(both: dict[str, Any], provider: str) -> None:
    """Vercel's AI SDK, whose schemas are strict: several images, an edit, and errors with their reason."""
    seen = both["ai"][provider]

    assert [["image/png", True]] * 2 == seen["generated"]
    assert [["image/png", True]] == seen["edited"]
    assert 404 == seen["model"][0]
    assert "There is no model 'no-such-model'" in seen["model"][1]
    assert 400 == seen["input"][0]
    assert "size: " in seen["input"][1]
    if provider == "compatible":  # the other one leaves out fields that OpenAI does not have
        [request] = [each for each in both["python"]["requests"] if each["input"]["prompt"] == "an ai fox compatible"]
        assert (2, 5, 4) == (
            request["batch_size"],
            request["input"]["seed"],
            request["input"]["num_inference_steps"],
        )
