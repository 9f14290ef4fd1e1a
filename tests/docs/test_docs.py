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


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", ["configuration.md", "api.md"])
def test_reference_pages_say_what_the_code_says(page: str) -> None:
    """Tables that are made from the code are as the code is now. If not: `make docs`."""
    text = (DOCS / page).read_text()

    assert with_parts(page, text) == text


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link in the documentation names a file that is there, and a heading of it where it names one."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in link]
    there = {link: (page.parent / link.partition("#")[0]) if link[0] != "#" else page for link in links}

    assert [] == [link for link, path in there.items() if not path.exists()]
    assert [] == [link for link, path in there.items() if "#" in link and link.partition("#")[2] not in anchors(path)]


def anchors(page: Path) -> set[str]:
    """Return what links to the headings of a page end with, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_pages_are_short(page: Path) -> None:
    """No page of the documentation has more than 200 lines."""
    assert DOCS not in page.parents or len(page.read_text().splitlines()) <= 200


def test_pages_that_code_names_exist() -> None:
    """A message, a comment or a file for operators that names a page of the documentation names one that is there."""
    folders = ("src", "deploy", "examples", "tests", "benchmarks", "training")
    files = [ROOT / "Makefile", *(path for folder in folders for path in (ROOT / folder).rglob("*"))]
    texts = [path for path in files if path.is_file() and path.suffix in TEXTS and path != Path(__file__)]
    named = {page for path in texts for page in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text("utf-8"))}

    assert named
    assert [] == [page for page in sorted(named) if not (ROOT / page).exists()]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=_name)
def test_settings_that_are_named_exist(page: Path) -> None:
    """No page names a setting that does not exist. The changelog names those of the past, too."""
    known = {f"PIPELET_{name.upper()}" for name in Settings.model_fields}

    assert set() == set(re.findall(r"\bPIPELET_[A-Z_]+[A-Z]\b", page.read_text())) - known


def test_bodies_of_submits_in_the_documentation_are_good_ones() -> None:
    """What the README and the page for curl tell people to send names only fields that exist."""
    operation = openapi_document()["paths"]["/fal/queue/z-image-text-to-image"]["post"]
    schema: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = openapi_document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    shell = "".join(block for page in ("README.md", "docs/use/curl.md") for block in blocks(ROOT / page, "bash"))
    bodies = [json.loads(body) for body in re.findall(r"-d '(.*)'", shell)]

    assert bodies
    for body in bodies:
        assert set() == set(body) - set(schema["properties"])


@pytest.mark.parametrize("source", [block for page in PAGES for block in blocks(page, "python")])
def test_python_in_the_documentation_compiles(source: str) -> None:
    """The documentation's Python is Python."""
    compile(source, "page", "exec")


def test_commands_that_are_named_exist() -> None:
    """Every `pipelet …` of the documentation is one that the command line takes, with its flags."""
    lines = [line for page in PAGES for block in blocks(page, r"\w*") for line in block.splitlines()]
    table = re.findall(r"^\| `(pipelet [^`]*)`", (ROOT / "README.md").read_text(), re.MULTILINE)
    commands = [shlex.split(found[1], comments=True) for line in [*lines, *table] if (found := COMMAND.match(line))]

    assert 10 < len(commands)
    for command in commands:
        build(command).parse_args(command, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/quickstart.md", "docs/models/training.md"])
def test_make_verbs_that_are_named_exist(page: str) -> None:
    """Every `make <verb>` in the documentation is one."""
    verbs = set(re.findall(r"make ([a-z-]+)", (ROOT / page).read_text()))

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
