"""A data directory that was more open before."""

import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pipelet.settings import load
from pipelet.wiring.data_dir import prepare_data_dir, readable_by_others

_STORED = ("pipelet.sqlite", "pipelet.sqlite-wal", "signing-key", "files/outputs/app/a.png")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """As systemd's StateDirectory and a umask of 022 leave it."""
    for name in _STORED:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        path.chmod(0o644)
    for folder in (tmp_path / "data", *(tmp_path / "data").rglob("*/")):
        folder.chmod(0o755)
    return tmp_path / "data"


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


def test_it_is_made_private_once(data_dir: Path) -> None:
    """Everything that is stored, and the folder; the next start finds nothing to do and says nothing."""
    chosen = load(data_dir=data_dir)
    assert data_dir / "pipelet.sqlite" in readable_by_others(chosen)
    with capture_logs() as logs:
        prepare_data_dir(chosen)
        prepare_data_dir(chosen)

    assert {0o700, 0o600} == modes(data_dir)
    assert ["data_dir.permissions_changed"] == [line["event"] for line in logs]
    assert [] == readable_by_others(chosen)


def test_what_else_lies_in_the_folder_stays_as_it_is(data_dir: Path) -> None:
    """A folder that holds other things keeps its mode, and so do these; what is stored in it is private."""
    (data_dir / "notes").write_text("for all")
    (data_dir / "notes").chmod(0o644)

    prepare_data_dir(load(data_dir=data_dir))

    assert [0o755, 0o644] == [stat.S_IMODE(path.stat().st_mode) for path in (data_dir, data_dir / "notes")]
    for name in ("pipelet.sqlite", "pipelet.sqlite-wal", "signing-key", "files"):
        assert not (data_dir / name).stat().st_mode & 0o077, name
