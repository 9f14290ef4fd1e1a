"""The documentation, held against the code."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelet.cli import build
from pipelet.settings import Settings
from tests.docs.openapi import openapi_document
from tests.docs.reference import DOCS, with_parts

ROOT = DOCS.parent
PAGES = [
    path
    for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "src").rglob("README.md")]
    if ".venv" not in path.parts
]
COMMAND = re.compile(r"(?:\S*/)?pipelet ([a-z].*)")
TEXTS = {"", ".md", ".py", ".toml", ".txt", ".sh", ".mjs", ".yaml", ".service"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["configuration.md", "api.md"])
def test_reference_pages_say_what_the_code_says(page: str) -> None:
    """Tables that are made from the code are as the code is now. If not: `make docs`."""
    text = (DOCS / page).read_text()

    assert with_parts(page, text) == text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link in the documentation names a file that is there."""
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()) if "://" not in link]

    assert [] == [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_that_are_named_exist(page: Path) -> None:
    """No page names a setting that there is not."""
    known = {f"PIPELET_{name.upper()}" for name in Settings.model_fields}

    assert set() == set(re.findall(r"\bPIPELET_[A-Z_]+[A-Z]\b", page.read_text())) - known


def test_bodies_of_submits_in_the_readme_are_good_ones() -> None:
    """What the README tells people to send names only fields that exist."""
    operation = openapi_document()["paths"]["/fal/queue/z-image-text-to-image"]["post"]
    schema: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = openapi_document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    shell = "".join(blocks(ROOT / "README.md", "bash"))
    bodies = [json.loads(body) for body in re.findall(r"-d '(.*)'", shell)]

    assert bodies
    for body in bodies:
        assert set() == set(body) - set(schema["properties"])


@pytest.mark.parametrize("source", blocks(ROOT / "README.md", "python"))
def test_python_in_the_readme_compiles(source: str) -> None:
    """The README's Python is Python."""
    compile(source, "README.md", "exec")


def test_commands_that_are_named_exist() -> None:
    """Every `pipelet …` of the documentation is one that the command line takes, with its flags."""
    lines = [line for page in PAGES for block in blocks(page, r"\w*") for line in block.splitlines()]
    table = re.findall(r"^\| `(pipelet [^`]*)`", (ROOT / "README.md").read_text(), re.MULTILINE)
    commands = [shlex.split(found[1], comments=True) for line in [*lines, *table] if (found := COMMAND.match(line))]

    assert 10 < len(commands)
    for command in commands:
        build(command).parse_args(command, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_make_verbs_that_are_named_exist(page: str) -> None:
    """Every `make <verb>` in the documentation is one."""
    verbs = set(re.findall(r"make ([a-z]+)", (ROOT / page).read_text()))

    for verb in verbs:
        subprocess.run(["make", "--dry-run", verb], cwd=ROOT, check=True, capture_output=True)


def test_pip_is_told_our_own_name() -> None:
    """`pip install pipelet` would install another project's package: no file of ours says that."""
    folders = ("src", "docs", "deploy", "examples", "tests", "benchmarks", "training")
    files = [*ROOT.glob("*"), *(path for folder in folders for path in (ROOT / folder).rglob("*"))]
    texts = [path for path in files if path.is_file() and path.suffix in TEXTS and path != Path(__file__)]
    wrong = re.compile(r"pip3? install\b[^\n&;|]*[\s'\"=]pipelet(?!-server|[\w./-])|['\"\s]pipelet\[[a-z]")

    assert texts
    assert [] == [path for path in texts if wrong.search(path.read_text("utf-8"))]


def test_the_changelog_speaks_of_what_is_released_next() -> None:
    """There is a section for what comes, or for the version that is here."""
    from pipelet import __version__

    text = (ROOT / "CHANGELOG.md").read_text()

    assert "## Unreleased" in text or f"## {__version__}" in text
