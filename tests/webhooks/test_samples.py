"""What docs/webhooks.md shows people, run against calls that we signed."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from pipelet.api.operations.jwks import jwks
from pipelet.domain.webhooks.signing_keys import Role, initial_keys
from pipelet.webhooks.signing import generate_keypair, signed_headers
from tests.docs.reference import DOCS
from tests.docs.test_docs import blocks

BODY = '{"status":"OK","prompt":"Ł"}'.encode()


@pytest.fixture
def signed() -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The published keys, and the headers of a call with `BODY`, as a web server hands them on."""
    keys = initial_keys([], generate_keypair, 0.0)
    signing = next(key for key in keys if key.role is Role.SIGNING)
    headers = signed_headers(signing, request_id="r" * 20, user="ann", now=time.time(), body=BODY)
    return list(jwks(keys)["keys"])[::-1], {name.lower(): value for name, value in headers.items()}


def forgeries(headers: dict[str, str]) -> list[tuple[dict[str, str], bytes]]:
    late = str(int(headers["x-fal-webhook-timestamp"]) - 400)
    return [
        (headers, BODY + b" "),
        ({**headers, "x-fal-webhook-user-id": "bob"}, BODY),
        ({**headers, "x-fal-webhook-timestamp": late}, BODY),
        ({**headers, "x-fal-webhook-signature": "00" * 64}, BODY),
    ]


def test_the_sample_in_python_checks(signed: tuple[list[dict[str, Any]], dict[str, str]]) -> None:
    """It confirms what is genuine, with the right key anywhere in the list, and nothing else."""
    keys, headers = signed
    sample: dict[str, Any] = {}
    [source] = blocks(DOCS / "webhooks.md", "python")
    exec(compile(source, "webhooks.md", "exec"), sample)  # noqa: S102 - it is ours

    assert sample["is_genuine"](keys, headers, BODY)
    assert [False] * 4 == [sample["is_genuine"](keys, *each) for each in forgeries(headers)]
    assert not sample["is_genuine"](keys[:1], headers, BODY)


def test_the_sample_in_javascript_checks(signed: tuple[list[dict[str, Any]], dict[str, str]], tmp_path: Path) -> None:
    """Likewise, on Node."""
    keys, headers = signed
    [source] = blocks(DOCS / "webhooks.md", "javascript")
    calls = [(headers, BODY), *forgeries(headers)]
    given = json.dumps([[each, body.decode()] for each, body in calls])
    script = tmp_path / "sample.mjs"
    script.write_text(
        f"{source}\nconst keys = {json.dumps(keys)};\n"
        f"console.log(JSON.stringify({given}.map(([headers, body]) => isGenuine(keys, headers, Buffer.from(body)))));\n"
    )
    done = subprocess.run(["node", script], capture_output=True, text=True, timeout=30, check=True)

    assert [True, False, False, False, False] == json.loads(done.stdout)
