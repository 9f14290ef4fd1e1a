"""Installations that something is wrong with: each is told before anything is touched, with what to do."""

import io
import os
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from pipelet.cli import build
from pipelet.cli.doctor.installation import check_installation
from pipelet.store.migrations import HEAD
from tests.support.service import REPOSITORY, Service, pipelet


def test_a_taken_port_exits_with_3_and_touches_nothing(service: Service) -> None:
    """A second service on the same port and data directory stops before the first one could notice."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])

        done = service.run("serve", "--port", port)

    assert done.returncode == 3
    assert f"Port {port} is taken" in done.stderr
    assert "--port" in done.stderr
    assert service.health()["status"] == "ready"


def test_a_data_directory_that_cannot_be_made_exits_with_3(tmp_path: Path) -> None:
    """A file where the folder should be is named."""
    (tmp_path / "file").touch()

    for command in ("serve", "migrate"):
        done = pipelet(command, "--data-dir", str(tmp_path / "file"), cwd=tmp_path, port="0")

        assert done.returncode == 3
        assert f"{tmp_path / 'file'} is not writable" in done.stderr
        assert "PIPELET_DATA_DIR" in done.stderr


def test_a_read_only_data_directory_exits_with_3(read_only: Path) -> None:
    """So is a disk that is mounted read-only."""
    done = pipelet("serve", "--data-dir", str(read_only), cwd=Path("/"), port="0")

    assert done.returncode == 3
    assert "Read-only file system" in done.stderr


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that no user can write: a kernel file system where mounting is not permitted."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounting.returncode != 0:
        yield Path("/proc/sys")
        return
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_database_of_a_newer_version_exits_with_3(tmp_path: Path) -> None:
    """Neither serving nor migrating touches it."""
    assert pipelet("migrate", cwd=tmp_path).returncode == 0
    database = tmp_path / ".pipelet" / "pipelet.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO schema_migration VALUES ('9999', 0)")
    connection.close()

    for command in ("serve", "worker", "migrate", "keys list"):
        done = pipelet(*command.split(), cwd=tmp_path, port="0")

        assert done.returncode == 3, command
        assert "newer version" in done.stderr, command
        assert "9999" in done.stderr, command


def test_a_file_that_is_no_database_exits_with_3(tmp_path: Path) -> None:
    """It is left as it is."""
    database = tmp_path / ".pipelet" / "pipelet.sqlite"
    database.parent.mkdir()
    database.write_text("These are my notes. " * 100)

    done = pipelet("serve", cwd=tmp_path, port="0")

    assert done.returncode == 3
    assert str(Path(".pipelet") / "pipelet.sqlite") in done.stderr
    assert database.read_text().startswith("These are my notes.")


def test_migrate_says_from_where_to_where(tmp_path: Path) -> None:
    """A second run has nothing to do."""
    first, second = pipelet("migrate", cwd=tmp_path), pipelet("migrate", cwd=tmp_path)

    assert f"from nothing to revision {HEAD}" in first.stdout
    assert "nothing to do" in second.stdout


def test_all_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    """Each with its name and what is wrong with it, wherever it came from."""
    (tmp_path / "pipelet.toml").write_text('lease_seconds = 0\nhots = "0.0.0.0"\n')

    done = pipelet("serve", cwd=tmp_path, port="http", public_url="example.com", log_level="loud")

    assert done.returncode == 3
    for name in ("PIPELET_PORT", "PIPELET_PUBLIC_URL", "PIPELET_LOG_LEVEL", "PIPELET_LEASE_SECONDS", "hots"):
        assert name in done.stderr, name
    assert "Traceback" not in done.stderr


def test_a_configuration_file_that_is_not_toml_exits_with_3(tmp_path: Path) -> None:
    """The file is named."""
    (tmp_path / "pipelet.toml").write_text("port: 8000")

    done = pipelet("serve", cwd=tmp_path)

    assert done.returncode == 3
    assert "pipelet.toml" in done.stderr


def test_the_help_names_every_command_and_shows_examples_of_each(tmp_path: Path) -> None:
    """The overview has them all, and the exit codes; the examples stand in the help of the command. What our own
    processes say to each other is in none."""
    assert pipelet("--version", cwd=tmp_path).stdout.strip().count(".") == 2
    overview = pipelet("--help", cwd=tmp_path).stdout
    for command in ("serve", "generate", "status", "cancel", "keys", "queue", "worker", "migrate", "doctor"):
        assert f" {command} " in overview
    keys = [f"keys {command}" for command in ("create", "list", "revoke")]
    queue = [f"queue {command}".strip() for command in ("pause", "resume", "order", "front", "priority", "retry")]
    for command in ("generate", "status", "cancel", *keys, *queue, "migrate", "doctor"):
        assert f"pipelet {command}" in help_of(command).partition("For example:")[2]
    assert "z-image-turbo" in help_of("generate")
    for text in (overview, help_of("worker"), help_of("keys create")):
        assert "Exit codes: 0 done; 1 the request failed" in text
    assert "stdin" not in help_of("worker")


def help_of(command: str) -> str:
    """As this process shows it: to start another one for each command takes half a second."""
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    words = command.split()
    with pytest.raises(SystemExit) as ended:
        build(words)([*words, "--help"], console=console)
    assert 0 == ended.value.code
    return shown.getvalue()


def test_commands_load_no_more_than_they_need(tmp_path: Path) -> None:
    """Those that work in the database start without the API and without what generates; a worker without the API."""
    assert 0 == pipelet("migrate", cwd=tmp_path).returncode
    for command, needless in (
        ("keys list", {"fastapi", "numpy", "PIL", "asyncpg"}),
        ("webhooks list", {"fastapi", "numpy", "PIL", "asyncpg"}),
        ("worker --help", {"fastapi", "asyncpg", "torch"}),
    ):
        done = pipelet(*command.split(), cwd=tmp_path, variables={"PYTHONPROFILEIMPORTTIME": "1"})

        assert 0 == done.returncode
        loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "pipelet.wiring" in loaded
        assert not needless & loaded, command


def test_a_spoilt_signing_key_is_refused(tmp_path: Path) -> None:
    """An empty key would let every client sign URLs; the message says what to do."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "signing-key").write_text("")

    done = pipelet("serve", cwd=tmp_path, data_dir=str(tmp_path / "data"), port="0")

    assert 3 == done.returncode
    assert "holds no signing key. Delete the file" in done.stderr


def test_a_misspelt_variable_is_named(tmp_path: Path) -> None:
    """A variable that looks like a setting and is none stops the start, with the nearest one as a hint."""
    done = pipelet("serve", cwd=tmp_path, hosts="127.0.0.1", port="99999")

    assert 3 == done.returncode
    assert "PIPELET_HOSTS: no such setting. Did you mean PIPELET_HOST?" in done.stderr
    assert "PIPELET_PORT" in done.stderr


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_another_projects_package_of_our_name_exits_with_3(tmp_path: Path, command: str) -> None:
    """It shares a folder with ours: nothing starts, not even the doctor, and the message holds the lines to type."""
    folder = distribution(tmp_path / "site", files=["pipelet/__init__.py", "pipelet-0.0.16.dist-info/RECORD"])

    done = pipelet(command, cwd=tmp_path, variables={"PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{folder}"})

    assert 3 == done.returncode
    assert "`pipelet 0.0.16`" in done.stderr
    assert ["pip uninstall pipelet", "pip install --force-reinstall pipelet-server"] == [
        line.strip() for line in done.stderr.splitlines()[-2:]
    ]
    assert not (tmp_path / ".pipelet").exists()


def test_a_first_module_that_is_not_ours_exits_with_3(tmp_path: Path) -> None:
    """The other project's file is where ours was: no traceback, whichever of the two was installed last."""
    copy = tmp_path / "site" / "pipelet"
    copy.mkdir(parents=True)
    for file in (REPOSITORY / "src" / "pipelet").iterdir():
        if file.name != "__init__.py":
            (copy / file.name).symlink_to(file)
    (copy / "__init__.py").touch()

    done = pipelet("--version", cwd=tmp_path, variables={"PYTHONPATH": str(copy.parent)})

    assert 3 == done.returncode
    assert "Traceback" not in done.stderr
    assert "pip install --force-reinstall pipelet-server" in done.stderr


def test_our_own_source_under_its_former_name_is_no_other_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editable installation of it put no file into the shared folder."""
    files = ["_editable_impl_pipelet.pth", "../../../bin/pipelet", "pipelet-0.1.0.dist-info/RECORD"]
    monkeypatch.syspath_prepend(distribution(tmp_path, files=files))

    check_installation()


def distribution(folder: Path, *, files: list[str]) -> str:
    """A folder with what pip notes of an installed distribution `pipelet` that has these files."""
    noted = folder / "pipelet-0.0.16.dist-info"
    noted.mkdir(parents=True)
    (noted / "METADATA").write_text("Metadata-Version: 2.1\nName: pipelet\nVersion: 0.0.16\n")
    (noted / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    return str(folder)
