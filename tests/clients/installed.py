"""Clients that cannot live in our own environment."""

import subprocess
import sys
import venv
from pathlib import Path

from tests.support.installed import environment, install_once, node_modules

HERE = Path(__file__).parent


def javascript_client() -> Path:
    """The `node_modules` that hold `@fal-ai/client`."""
    return node_modules("fal's JavaScript client", HERE / "node")


def sdk_python() -> Path:
    """The interpreter that finds the SDK `fal`, which wants another FastAPI than we do."""
    return install_once("fal's SDK", [HERE / "sdk" / "requirements.txt"], _install_sdk) / "bin" / "python"


def openai_javascript() -> Path:
    """The `node_modules` that hold OpenAI's client."""
    return node_modules("OpenAI's JavaScript client", HERE / "openai_sdk" / "node")


def openai_python() -> Path:
    """The interpreter that finds OpenAI's client, and `webuiapi`."""
    files = [HERE / "openai_sdk" / "requirements.txt"]
    return install_once("OpenAI's Python client and webuiapi", files, _install_sdk) / "bin" / "python"


def _install_sdk(folder: Path, files: list[Path]) -> "subprocess.CompletedProcess[str]":
    venv.create(folder, symlinks=True)
    options = ["--no-deps", "--no-compile", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", *options]
    return subprocess.run(
        [*command, "-r", str(files[0])], env=environment(), capture_output=True, text=True, timeout=240, check=False
    )
