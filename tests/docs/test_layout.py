"""The size of packages and files."""

from collections import Counter
from pathlib import Path

import pytest

from tests.docs.test_docs import ROOT

MAX_MODULES = 15
MAX_LINES = 350


@pytest.fixture(params=["src", "tests", "benchmarks"])
def modules(request: pytest.FixtureRequest) -> list[Path]:
    return list((ROOT / request.param).rglob("*.py"))


def test_packages_are_small(modules: list[Path]) -> None:
    """No package holds more than 15 modules: a reader finds a file in a glance at its folder."""
    sizes = Counter(path.parent for path in modules)

    assert sizes
    assert {} == {str(folder.relative_to(ROOT)): size for folder, size in sizes.items() if size > MAX_MODULES}


def test_files_are_short(modules: list[Path]) -> None:
    """No file has more than 350 lines."""
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in modules}

    assert {} == {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > MAX_LINES}
