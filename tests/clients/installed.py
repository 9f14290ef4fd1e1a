"""Clients that cannot live in our own environment."""

import os
from pathlib import Path

from tests.support.installed import python_packages

HERE = Path(__file__).parent


def with_clients() -> dict[str, str]:
    """Our environment variables, for an interpreter that finds the clients before what our own environment has."""
    return os.environ | {"PYTHONPATH": str(python_packages())}
