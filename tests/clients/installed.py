"""Clients that cannot live in our own environment."""

import os
from pathlib import Path

from tests.support.installed import python_packages

HERE = Path(__file__).parent


def with_clients(*folders: Path) -> dict[str, str]:
    """Our environment variables, for an interpreter that finds the clients before what our own environment has.

    `folders` hold further clients.
    """
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*folders, python_packages()]))}
