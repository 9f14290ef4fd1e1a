"""Processes: their names, and the environment of child processes."""

import os
import re
import sys
from pathlib import Path

import pipelet

_PACKAGE_ROOT = Path(pipelet.__file__).parent.parent
_SECRET_NAME = re.compile(
    r"(PIPELET|AWS)_.*|PG[A-Z]+|SSH_AUTH_SOCK"
    r"|(.*_)?(TOKEN|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|CREDENTIALS|KEY|APIKEY|DSN)(_.*)?",
    re.IGNORECASE,
)
_URL_WITH_PASSWORD = re.compile(r"://\S*:\S*@")
_HUB_TOKENS = ("HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN")


def environment_without_secrets(*, hub: bool = False) -> dict[str, str]:
    """Return the environment without the variables that only Pipelet needs.

    This is a deny list, not an allow list: drivers, compilers and numeric libraries read hundreds of variables, and a
    missing one causes a slow or failing GPU. It removes our settings, those of AWS and PostgreSQL, names that look like
    a secret, and URLs with a password, except those of proxies.

    Args:
        hub: keep the token for the model hub.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if (hub and name in _HUB_TOKENS) or not _is_secret(name, value)
    }


def module_path() -> str:
    """Return the PYTHONPATH for a child with the modules of this process, but without the working directory.

    `python -m`, `python -c` and an empty entry of PYTHONPATH add that directory: a file in it could replace a library.
    It stays if PYTHONPATH names it, or if Pipelet is imported from it.
    """
    named = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    is_meant = any(map(_is_working_directory, [*named, str(_PACKAGE_ROOT)]))
    return os.pathsep.join(path for path in sys.path if path and (is_meant or not _is_working_directory(path)))


def process_name(pid: int) -> str:
    """Return the name of a running process; `a program` where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "a program"


def _is_secret(name: str, value: str) -> bool:
    if name.lower().endswith("_proxy") or name.startswith("HF_HUB_"):  # needed to reach the hub
        return False
    return bool(_SECRET_NAME.fullmatch(name) or _URL_WITH_PASSWORD.search(value))


def _is_working_directory(path: str) -> bool:
    try:
        return os.path.samefile(path, os.curdir)
    except OSError:
        return False
