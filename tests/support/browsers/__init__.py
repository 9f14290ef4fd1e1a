"""The browsers of the tests, which are programs of the system, and npm's packages for them."""

import os
import shutil
from pathlib import Path

from tests.support.installed import node_modules

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
"""A whole Chromium does as well. Its own windows and services, which no test sees, take as much time as a page does."""
FIREFOX = shutil.which("firefox-esr")
_PACKAGES = {"chromium-headless-shell": CHROMIUM, "firefox-esr": FIREFOX}


def are_wanted() -> bool:
    """Whether the tests in browsers are to run: all of them, unless `BROWSER` is there and empty."""
    return os.environ.get("BROWSER") != ""


def what_is_missing() -> str:
    """Say what to type where a browser is missing; empty where none is."""
    missing = [package for package, program in _PACKAGES.items() if program is None]
    if not missing:
        return ""
    install = f"{'' if os.geteuid() == 0 else 'sudo '}apt-get install -y {' '.join(missing)}"
    return f"The tests in browsers need {' and '.join(missing)}: {install}    (`make test BROWSER=` runs the others)"


def npm_package(name: str) -> Path:
    """The folder of a package of npm's that tests of the page use."""
    return node_modules() / name
