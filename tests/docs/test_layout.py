"""The size of packages and files, and code that nothing uses."""

from collections import Counter
from pathlib import Path

import pytest
import vulture

from tests.docs.test_docs import ROOT

MAX_MODULES = 15
MAX_LINES = 350
CALLED_BY_LIBRARIES = {
    "wait_closed", "data_received", "on_url", "on_header", "capture_signals",  # asyncio, httptools, uvicorn
    "writable", "check_argument_for_proper_class",  # zipfile, transformers
    "_refuse_bool_as_number", "_check_presignable", "_require_both_keys", "settings_customise_sources",  # pydantic
    "doctor", "login", "unkeep",  # cyclopts
}  # fmt: skip


VENDORED = ROOT / "src" / "pipelet" / "web" / "vendor"


@pytest.fixture(params=["src", "tests", "benchmarks"])
def modules(request: pytest.FixtureRequest) -> list[Path]:
    """In all languages, without the libraries of the page."""
    found = [path for suffix in ("py", "js", "mjs", "css") for path in (ROOT / request.param).rglob(f"*.{suffix}")]
    return [path for path in found if VENDORED not in path.parents]


def test_packages_are_small(modules: list[Path]) -> None:
    """No package holds more than 15 modules: a reader finds a file in a glance at its folder."""
    sizes = Counter(path.parent for path in modules)

    assert sizes
    assert {} == {str(folder.relative_to(ROOT)): size for folder, size in sizes.items() if size > MAX_MODULES}


def test_files_are_short(modules: list[Path]) -> None:
    """No file has more than 350 lines."""
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in modules}

    assert {} == {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > MAX_LINES}


def test_all_code_is_used() -> None:
    """Every function, method and class of the package is named somewhere outside the tests: a merge that loses a call
    is noticed."""
    found = vulture.Vulture(ignore_names=sorted(CALLED_BY_LIBRARIES))
    found.scavenge([str(ROOT / folder) for folder in ("src", "benchmarks", "examples", "training")])
    unused = [item for item in found.get_unused_code(min_confidence=60) if item.filename.is_relative_to(ROOT / "src")]

    kinds = {"class", "function", "method", "property"}
    assert [] == [f"{item.filename}:{item.first_lineno} {item.name}" for item in unused if item.typ in kinds]
