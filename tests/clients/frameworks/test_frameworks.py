"""Frameworks that call image services for their users, unmodified: LiteLLM and LangChain at OpenAI's API, and Vercel's
AI SDK at fal's ids."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.clients.behind_tls import FAL_IDS
from tests.clients.installed import with_clients
from tests.clients.test_fal_javascript import limited_key
from tests.support.images import png
from tests.support.installed import NODE, node_modules, python_frameworks
from tests.support.service import Service
from tests.support.waiting import eventually

HERE = Path(__file__).parent
BACKEND = "tests.support.backends.while_generating.raises:Backend"


class Script:
    """A program that uses a framework: it prints what it saw, and waits for us where it has to."""

    def __init__(self, command: list[str], service: Service, name: str, environment: Mapping[str, str]) -> None:
        self.limited_key = limited_key(service, name)
        variables = {
            "SERVICE_URL": service.url,
            "OPENAI_API_BASE": f"{service.url}/v1",
            "OPENAI_API_KEY": service.key,
            "FAL_KEY": service.key,
            "LIMITED_KEY": self.limited_key,
            "IMAGE": base64.b64encode(png()).decode(),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise it asks GitHub for prices when it is imported
        }
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, env={**environment, **variables}, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def seen(self) -> dict[str, Any]:
        """What it prints next."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return dict(json.loads(line))

    def let_continue(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What both scripts saw of one service, at the same time, and the state of each of its requests by prompt."""
    folder = tmp_path_factory.mktemp("frameworks")
    (folder / "node_modules").symlink_to(node_modules())
    on_node = [str(NODE), str(shutil.copy(HERE / "ai_fal.mjs", folder))]
    in_python = [sys.executable, str(HERE / "calls.py")]
    frameworks = with_clients(python_frameworks())
    with Service(folder / "service", backend=BACKEND, catalog=FAL_IDS) as service:
        scripts = [Script(in_python, service, "python", frameworks), Script(on_node, service, "node", os.environ)]
        try:
            found = [script.seen() for script in scripts]
            with service.paused():
                left = _leave(service, scripts)
        finally:
            for script in scripts:
                script.end()
        requests = _requests(service, service.key)
    [python, ai] = [before | after for before, after in zip(found, left, strict=True)]
    return {"python": python, "ai": ai, "requests": requests}


def _leave(service: Service, scripts: list[Script]) -> list[dict[str, Any]]:
    """What they see of a limit, and that a client that hangs up cancels its request, while the engine stands still."""
    service.wait(service.submit("busy"), status="IN_PROGRESS")
    waiting = list(zip(scripts, ("waits litellm", "waits ai"), strict=True))
    for script in scripts:
        script.let_continue()
    for script, prompt in waiting:
        _until(service, script.limited_key, prompt, "queued")
        script.let_continue()
    found = [script.seen() for script in scripts]
    for script, prompt in waiting:
        _until(service, script.limited_key, prompt, "cancelled")
    _until(service, service.key, "waits langchain", "queued")
    scripts[0].process.kill()
    _until(service, service.key, "waits langchain", "cancelled")
    return found


def _until(service: Service, key: str, prompt: str, state: str) -> None:
    def has_state() -> bool:
        return [state] == [each["state"] for each in _requests(service, key) if each["input"]["prompt"] == prompt]

    eventually(has_state, why=f"{prompt!r} is {state}")


def _requests(service: Service, key: str) -> list[dict[str, Any]]:
    code, page = service.call("GET", "/api/v1/requests?limit=100", key=key)
    assert code == 200
    return list(page["items"])


@pytest.fixture
def python(seen: dict[str, Any]) -> dict[str, Any]:
    return dict(seen["python"])


@pytest.fixture
def ai(seen: dict[str, Any]) -> dict[str, Any]:
    return dict(seen["ai"])


def prompts(seen: dict[str, Any]) -> list[str]:
    return [each["input"]["prompt"] for each in seen["requests"]]


def test_litellm_gets_images(seen: dict[str, Any], python: dict[str, Any]) -> None:
    """One with fields that OpenAI does not have, several with its asynchronous function, and an edit of a file."""
    url, length, size = python["generated"]["one"]
    [request] = [each for each in seen["requests"] if each["input"]["prompt"] == "a fox"]

    assert "/files/outputs/" in url
    assert length > 100
    assert "96x64" == size
    assert {"seed": 5, "num_inference_steps": 4, "negative_prompt": "blur"}.items() <= request["input"].items()
    assert [True] * 3 == python["generated"]["several"]
    assert ["96x64", True] == python["edited"]


def test_litellm_raises_its_errors_with_our_reason(seen: dict[str, Any], python: dict[str, Any]) -> None:
    """Bad input, a bad key, an unknown model, what the model refuses, and what breaks it, which is not retried."""
    refused = python["refused"]

    assert {
        "input": ["BadRequestError", 400],
        "key": ["AuthenticationError", 401],
        "model": ["NotFoundError", 404],
        "unable": ["BadRequestError", 400],
        "broken": ["InternalServerError", 500],
    } == {name: each[:2] for name, each in refused.items() if name != "own"}
    assert "n: " in refused["input"][2]
    assert "There is no model 'no-such-model'" in refused["model"][2]
    assert "No pictures of this: refuse this" in refused["unable"][2]
    assert 1 == prompts(seen).count("please litellm")


def test_litellm_refuses_a_response_format_itself(python: dict[str, Any]) -> None:
    """As the documentation says: for this provider it knows no such field, and sends nothing."""
    assert "UnsupportedParamsError" == python["refused"]["own"][0]


def test_langchain_gets_urls(python: dict[str, Any]) -> None:
    """Its wrapper joins the URLs, of its own model's name and of ours."""
    found = python["langchain"]

    assert "/files/outputs/" in found["one"]
    assert ["/files/outputs/" in url for url in found["several"]] == [True, True]


def test_langchain_raises_openais_errors(python: dict[str, Any]) -> None:
    """Bad input, a bad key, and what the model refuses."""
    found = python["langchain"]

    assert ["BadRequestError", 400] == found["input"][:2] == found["unable"][:2]
    assert ["AuthenticationError", 401] == found["key"][:2]
    assert "No pictures of this: refuse it" in found["unable"][2]


def test_a_reached_limit_is_named(python: dict[str, Any], ai: dict[str, Any]) -> None:
    """By each client, where it may not retry."""
    limited = python["limited"]

    assert ["RateLimitError", 429] == limited["litellm"][:2] == limited["langchain"][:2]
    assert 429 == ai["limited"][1]
    for message in (limited["litellm"][2], limited["langchain"][2], ai["limited"][2]):
        assert "The limit of queued images" in message


def test_a_client_that_leaves_cancels(python: dict[str, Any], ai: dict[str, Any]) -> None:
    """A task that is cancelled, a signal that aborts, and a process that is killed: the requests are not generated."""
    assert python["left"]
    assert "AbortError" == ai["left"][0]


def test_the_ai_sdk_gets_images_of_fals_ids(seen: dict[str, Any], ai: dict[str, Any]) -> None:
    """One with options of fal's, several, a ratio, an edit, and images inside the response."""
    assert [["image/jpeg", True]] == ai["one"]["files"]
    assert ([[96, 64]], [True]) == (ai["one"]["sizes"], ai["one"]["checked"])
    [request] = [each for each in seen["requests"] if each["input"]["prompt"] == "an ai fox"]
    assert {"seed": 5, "num_inference_steps": 4}.items() <= request["input"].items()
    assert [["image/png", True]] * 2 == ai["several"]["files"]
    assert [[1024, 576]] == ai["ratio"]["sizes"]
    assert [[96, 64]] == ai["edited"]["sizes"] == ai["inline"]["sizes"]
    assert [["image/png", True]] == ai["inline"]["files"]


def test_the_ai_sdk_shows_our_reason(ai: dict[str, Any]) -> None:
    """Its schema of fal's errors takes ours: bad input, a mask, a bad key, an unknown id, and failures."""
    codes = {"input": 422, "mask": 422, "key": 401, "id": 404, "unable": 422, "broken": 500}
    texts = {"input": "width", "mask": "Masks are not supported", "id": "fal-ai/z-image/turbo", "unable": "refuse this"}

    assert codes == {name: ai[name][1] for name in codes}
    assert {} == {name: ai[name][2] for name, text in texts.items() if text not in ai[name][2]}
    assert " " in ai["key"][2]
