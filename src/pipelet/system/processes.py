"""What the processes that Pipelet starts inherit."""

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
    """The environment, without what only Pipelet itself needs.

    A list of what is left out, not of what is passed on: drivers, compilers and libraries of numerics read hundreds of
    variables, and the lack of one shows as a slow or failing GPU. Left out are our settings, those of AWS and
    PostgreSQL, names that sound like a secret, and URLs that hold a password, except those of proxies.

    Args:
        hub: with the token for the model hub.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if (hub and name in _HUB_TOKENS) or not _is_secret(name, value)
    }


def module_path() -> str:
    """The PYTHONPATH by which a child finds the modules of this process, without those of the working directory.

    `python -m`, `python -c` and an empty entry of PYTHONPATH add that directory: a file that happens to lie there would
    run in place of a library. Where PYTHONPATH names it, or Pipelet is imported from it, it stays.
    """
    named = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    is_meant = any(map(_is_working_directory, [*named, str(_PACKAGE_ROOT)]))
    return os.pathsep.join(path for path in sys.path if path and (is_meant or not _is_working_directory(path)))


def _is_secret(name: str, value: str) -> bool:
    if name.lower().endswith("_proxy") or name.startswith("HF_HUB_"):  # how to reach the hub
        return False
    return bool(_SECRET_NAME.fullmatch(name) or _URL_WITH_PASSWORD.search(value))


def _is_working_directory(path: str) -> bool:
    try:
        return os.path.samefile(path, os.curdir)
    except OSError:
        return False
