"""What the documentation tells people who come from fal, done word for word."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.behind_tls import BehindTLS, behind_tls
from tests.clients.snippets import snippets
from tests.clients.test_fal_javascript import start_node
from tests.docs.test_docs import ROOT, blocks
from tests.support.images import png
from tests.support.installed import node_modules

HOST = "pipelet.example.com"
OUTPUT = "/files/outputs/z_image_(text_to_image|image_edit)_api/"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "use").glob("*.md"))]
PYTHON = [block for page in PAGES for block in blocks(page, "python") if "fal_client" in block]
JAVASCRIPT = list(dict.fromkeys(block for page in PAGES for block in blocks(page, "js") if "openai" not in block))
VARIABLES = dict(
    re.findall(r"^export (\w+)=(\S+)$", "\n".join(blocks(ROOT / "docs" / "use" / "from-fal.md", "bash")), re.MULTILINE)
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BehindTLS]:
    node_modules()
    with behind_tls(tmp_path_factory.mktemp("recipes")) as running:
        yield running


@pytest.mark.parametrize("source", PYTHON)
def test_python_from_the_documentation_draws(running: BehindTLS, tmp_path: Path, source: str) -> None:
    """With the documented variables, or those that it sets itself, it prints the URL of a picture."""
    (tmp_path / "photo.jpg").write_bytes(png())
    here = {"pipelet_…": running.service.key, HOST: running.host}
    documented = {name: _put(here, value) for name, value in VARIABLES.items()}
    done = subprocess.run(
        [sys.executable, "-c", _put(here, source)],
        cwd=tmp_path,
        env=os.environ | documented | {"SSL_CERT_FILE": str(running.trusted)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert re.search(OUTPUT, done.stdout)


@pytest.mark.parametrize("number", range(len(JAVASCRIPT)))
def test_javascript_from_the_documentation_draws(running: BehindTLS, tmp_path: Path, number: int) -> None:
    """It prints the URL of a picture."""
    script = tmp_path / "recipe.mjs"
    service = running.service
    script.write_text(_put({"http://127.0.0.1:8000": service.url}, JAVASCRIPT[number]))
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "photo.jpg").write_bytes(png())
    # Whoever follows the URLs in answers comes to the public one, which is behind TLS here.
    process = start_node(tmp_path / "node", script, service=service, NODE_EXTRA_CA_CERTS=str(running.trusted))
    out, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert re.search(OUTPUT, out)


@pytest.mark.parametrize("language", ["curl", "Python", "Python with TLS", "JavaScript"])
def test_a_call_of_the_page_runs_as_it_is_copied(running: BehindTLS, tmp_path: Path, language: str) -> None:
    """With the key in the variable that it reads, it prints the URLs of two images; the input is in it unchanged."""
    service = running.service
    name, _, with_tls = language.partition(" with ")
    base = f"https://{running.host}" if with_tls else service.url
    fields = {"prompt": 'it\'s a "red"\n$HOME `apple` \\', "width": 96, "height": 64, "seed": 5, "batch_size": 2}
    source = snippets(base, "z-image-text-to-image", fields)[name]
    if name == "JavaScript":
        script = tmp_path / "copied.mjs"
        script.write_text(source)
        trusted = str(running.trusted)
        process = start_node(tmp_path / "node", script, service=service, NODE_EXTRA_CA_CERTS=trusted)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    else:
        command = ["bash", "-c", source] if name == "curl" else [sys.executable, "-c", source]
        variables = {"PIPELET_API_KEY": service.key, "SSL_CERT_FILE": str(running.trusted)}
        done = subprocess.run(
            command, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        out = done.stdout

    assert 2 == len(set(re.findall(r"https://[^\s\"]+/files/outputs/[^\s\"?]+", out)))
    code, page = service.call("GET", "/api/v1/requests?limit=1")
    assert code == 200
    assert fields.items() <= page["items"][0]["input"].items()


def test_a_wrong_key_ends_the_documented_loop_with_the_reason(running: BehindTLS, tmp_path: Path) -> None:
    """Not with what follows from it, such as an address that is undefined."""
    [source] = [block for block in blocks(ROOT / "docs" / "use" / "javascript.md", "js") if "fetch(" in block]
    script = tmp_path / "recipe.mjs"
    service = running.service
    script.write_text(_put({"http://127.0.0.1:8000": service.url}, source))
    process = start_node(tmp_path / "node", script, service=service, PIPELET_API_KEY=f"pk_{'a' * 43}")
    _, errors = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "This key is not known here" in errors


def _put(here: dict[str, str], text: str) -> str:
    for there, value in here.items():
        text = text.replace(there, value)
    return text
