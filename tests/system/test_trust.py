"""Settings in a file that another user may have written."""

import os
from pathlib import Path

import pytest

from pipelet import settings
from pipelet.domain.errors import OperationalError
from tests.support.root import needs_root

STRANGER = 65_534


@needs_root
@pytest.mark.parametrize(
    ("owner", "group", "mode", "reason"),
    [
        (STRANGER, 0, 0o644, "belongs to the user"),
        (0, 0, 0o646, "every user can write to it"),
        (0, STRANGER, 0o664, "the group .* can write to it"),
    ],
)
def test_a_file_of_others_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: int, group: int, mode: int, reason: str
) -> None:
    """It would decide where the key is sent."""
    file = tmp_path / "pipelet.toml"
    file.write_text('url = "http://127.0.0.1:1"\n')
    os.chown(file, owner, group)
    file.chmod(mode)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(OperationalError, match=rf"pipelet\.toml is refused: .*{reason}.*chown, chmod go-w"):
        settings.load()


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_a_file_of_ones_own_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int) -> None:
    """Also where the user's own group may write it, as many systems have it."""
    file = tmp_path / "pipelet.toml"
    file.write_text("port = 8001\n")
    file.chmod(mode)
    monkeypatch.chdir(tmp_path)

    assert 8001 == settings.load().port
