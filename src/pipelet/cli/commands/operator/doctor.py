"""`pipelet doctor`: check the installation."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pipelet.cli.doctor import checks
from pipelet.cli.doctor.findings import Check, Finding, FindingState, fail
from pipelet.cli.options import AsJson, given_key
from pipelet.system.text import visible

PROBLEMS_FOUND = 3
_TIMEOUT = 7.0
"""Seconds for all checks together, but for the engine's, whose import depends on the disk."""
_ENGINE_TIMEOUT = 65.0
_COLOURS = {FindingState.OK: "green", FindingState.WARN: "yellow", FindingState.FAIL: "red"}


def doctor(
    *,
    url: str | None = None,
    key: str | None = None,
    key_file: Path | None = None,
    data_dir: Path | None = None,
    model: str | None = None,
    as_json: AsJson = False,
) -> int:
    """Check the installation and suggest fixes. The exit code is 3 if a check fails.

    It changes nothing, except that it stores a file of a few bytes in the bucket if files are on S3: that is the only
    proof that storing works. Importing the engine takes some seconds; all other checks end within seven.

    For example:

        pipelet doctor

        pipelet doctor --model z-image-turbo --json

    Parameters
    ----------
    url
        URL of the service; or PIPELET_API_URL. [default: this machine, port 8000]
    key
        API key; or PIPELET_API_KEY. Other users see a flag in the list of processes: prefer --key-file. [default: the
        key in the data directory]
    key_file
        File that holds the API key, and nothing else.
    data_dir
        Directory of the database, the files and the first key. [default: .pipelet]
    model
        Model to check: a name in the catalog, a hub id or a folder. [default: the demo model]
    as_json
        Print one JSON object and nothing else.
    """
    chosen, finding = checks.read_settings(
        api_url=url, api_key=given_key(key, key_file), data_dir=data_dir, model=model
    )
    plan: list[tuple[str, Check]] = [("settings", lambda: finding), *checks.checks_of_machine()]
    if chosen is not None:
        plan += checks.checks_of_installation(chosen)
    findings = dict(_run_checks(plan, console=None if as_json else Console(soft_wrap=True)))
    failed = any(finding.state is FindingState.FAIL for finding in findings.values())
    if as_json:
        print(json.dumps({"ok": not failed, "checks": [_facts(name, found) for name, found in findings.items()]}))
    code = PROBLEMS_FOUND if failed else 0
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(code)  # Python would wait for the asyncio threads of a check that hangs
    return code


def _run_checks(
    plan: list[tuple[str, Check]], *, console: Console | None, timeout: float = _TIMEOUT
) -> Iterator[tuple[str, Finding]]:
    """Run all checks at the same time, so that several timeouts cost no more than one. Findings come in order."""
    width = max(len(name) for name, _ in plan)
    began = time.monotonic()
    running = [(name, _in_background(check)) for name, check in plan]
    for name, future in running:
        limit = _ENGINE_TIMEOUT if name == "engine" else timeout
        try:
            finding = future.result(max(0.0, began + limit - time.monotonic()))
        except TimeoutError:
            finding = fail(f"no result within {limit:g} s", "Check for a server, a network or a disk that hangs.")
        if console is not None:
            _show(console, name.ljust(width), finding)
        yield name, finding


def _in_background(check: Check) -> "Future[Finding]":
    """Run a check in a daemon thread: a check that hangs must not block the others, or the exit."""
    future: Future[Finding] = Future()

    def run() -> None:
        try:
            future.set_result(check())
        except BaseException as error:  # noqa: BLE001 - raised again by `result`
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _show(console: Console, name: str, finding: Finding) -> None:
    colour, indent = _COLOURS[finding.state], " " * (len(name) + 7)
    detail = escape(visible(finding.detail, keep="\n")).replace("\n", f"\n{indent}")
    console.print(f"[{colour}]{finding.state:<4}[/]  {name} {detail}", highlight=False)
    if finding.fix:
        console.print(f"{indent}→ {escape(visible(finding.fix))}", highlight=False)


def _facts(name: str, finding: Finding) -> dict[str, str]:
    return {"name": name, "state": finding.state, "detail": finding.detail, "fix": finding.fix}
