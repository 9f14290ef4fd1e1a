from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelet.cli import build
from pipelet.store.sqlite import SqliteStore, open_sqlite
from tests.support.databases import empty_sqlite

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on a database of its own, and returns what it printed."""
    (tmp_path / "pipelet.sqlite").write_bytes(empty_sqlite())

    def run_command(*arguments: str) -> str:
        capsys.readouterr()
        build(arguments)([*arguments, "--data-dir", str(tmp_path)], result_action="return_value")
        shown = capsys.readouterr()
        return shown.out + shown.err

    return run_command


@pytest.fixture
def store(run: Run, tmp_path: Path) -> Iterator[SqliteStore]:
    """The same database."""
    opened = open_sqlite(tmp_path / "pipelet.sqlite")
    yield opened
    opened.close()
