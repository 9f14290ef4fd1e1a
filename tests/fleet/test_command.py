"""`pipelet fleet`, where it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelet import settings
from pipelet.wiring.fleet import single_node_reason
from tests.support.service import environment, pipelet

POSTGRES = "postgresql://db.example.com/pipelet"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--min", "3", "--max", "2"], "--min 3 and --max 2"),
        (["--max", "0"], "--max 0"),
        (["--max", "1", "--target-drain-seconds", "0"], "--target-drain-seconds"),
        (["--max", "1", "--target-drain-seconds", "nan"], "--target-drain-seconds"),
        (["--max", "1", "--scale-down-delay-seconds", "-1"], "--scale-down-delay-seconds"),
        (["--max", "1", "--resource", "GPU"], "--resource GPU"),
        (["--max", "1", "--resource", "=1"], "--resource =1"),
        (["--max", "1", "--resource", "GPU=-1"], "--resource GPU=-1"),
    ],
)
def test_wrong_numbers_are_named(tmp_path: Path, arguments: list[str], named: str) -> None:
    """A limit that cannot be kept ends it at once, with exit code 3 and the flag's name."""
    ended = pipelet("fleet", *arguments, cwd=tmp_path)

    assert 3 == ended.returncode
    assert named in ended.stderr


def test_without_a_cluster_it_says_how_to_start_one(tmp_path: Path) -> None:
    """Without a Ray cluster, the message names the address and the command that starts one."""
    assert 0 == pipelet("migrate", cwd=tmp_path).returncode

    ended = pipelet("fleet", "--max", "1", "--address", "127.0.0.1:9", cwd=tmp_path)

    assert 3 == ended.returncode
    assert "127.0.0.1:9" in ended.stderr
    assert "ray start" in ended.stderr


def test_without_ray_it_says_how_to_install_it(tmp_path: Path) -> None:
    """Ray is an extra; the command that needs it names it."""
    assert 0 == pipelet("migrate", cwd=tmp_path).returncode
    without_ray = "import sys; sys.modules['ray'] = None; from pipelet.cli import main; main()"
    command = [sys.executable, "-c", without_ray, "fleet", "--max", "1"]

    ended = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)

    assert 3 == ended.returncode
    assert "pip install 'pipelet-server[ray]'" in ended.stderr


@pytest.mark.parametrize(
    ("given", "files_are_shared", "named"),
    [
        ({}, False, "PIPELET_DATABASE_URL"),
        ({}, True, "PIPELET_DATABASE_URL"),
        ({"database_url": POSTGRES}, False, "--shared-files"),
        ({"database_url": POSTGRES, "blobs_url": "file:///srv/files"}, False, "/srv/files"),
        ({"database_url": POSTGRES, "blobs_url": "file:///srv/files"}, True, None),
        ({"database_url": POSTGRES, "blobs_url": "s3://pictures"}, False, None),
    ],
)
def test_other_machines_need_what_they_can_reach(
    tmp_path: Path, given: dict[str, str], files_are_shared: bool, named: str | None
) -> None:
    """With a database or files of this machine alone, the reason why its workers must stay here names the setting."""
    chosen = settings.load(data_dir=tmp_path, **given)

    reason = single_node_reason(chosen, files_are_shared=files_are_shared)

    assert (named is None) == (reason is None)
    assert (named or "") in (reason or "")
