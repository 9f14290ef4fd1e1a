"""The tables of what other APIs do and what is here, held against the tests that they name."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.reference import DOCS

TESTS = DOCS.parent / "tests"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for page in (DOCS / "compatibility.md", *sorted((DOCS / "compatibility").glob("*.md")))
    for line in page.read_text().splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| fal |", "| OpenAI |", "| WebUI |"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_claim_names_tests_that_exist(row: list[str]) -> None:
    """What is the same or better has a test that shows it, and each named test is there under this name."""
    behaviour, verdict, _, shown_by = row
    named = re.findall(r"`([a-z0-9_/]+\.py)::(test_\w+)`", shown_by)

    assert verdict in ("same", "better", "not offered"), behaviour
    assert shown_by == ", ".join(f"`{file}::{name}`" for file, name in named)
    assert named or verdict == "not offered"
    for file, name in named:
        assert name in functions_of(TESTS / file), f"{file} has no {name}"


def functions_of(file: Path) -> set[str]:
    definitions = ast.parse(file.read_text()).body
    return {each.name for each in definitions if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
