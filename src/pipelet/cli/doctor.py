"""`pipelet doctor`: look the installation over."""

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

from pipelet.cli import checks
from pipelet.cli.connection import given_key
from pipelet.cli.findings import Check, Finding, State, fail
from pipelet.cli.flags import AsJson
from pipelet.system.text import visible

UNUSABLE = 3
_SECONDS = 7.0
"""For all checks together but the engine's, which imports it and starts no sooner than its disk lets it."""
_ENGINE_SECONDS = 65.0
_COLOURS = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


def doctor(
    *,
    url: str | None = None,
    key: str | None = None,
    key_file: Path | None = None,
    data_dir: Path | None = None,
    model: str | None = None,
    as_json: AsJson = False,
) -> int:
    """Look the installation over, and say how to mend what is wrong. The exit code is 3 where anything fails.

    It changes nothing, but for a file of some bytes in the bucket where files are kept on S3: storing one is the only
    proof that it can be done. Importing the engine takes some seconds; all other checks
    have ended after seven, whatever is away.

    For example:

        pipelet doctor

        pipelet doctor --model z-image-turbo --json

    Parameters
    ----------
    url
        Where the service is; or PIPELET_URL. [default: this machine, port 8000]
    key
        API key; or PIPELET_KEY. Other users see it in the list of processes: prefer --key-file. [default: the one in
        the data directory]
    key_file
        File that holds the API key, and nothing else.
    data_dir
        Where the database, the files and the first key lie. [default: .pipelet]
    model
        What to draw with: a name in the catalog, a hub id or a folder. [default: the model in the box]
    as_json
        Print one JSON object and nothing else.
    """
    chosen, finding = checks.read_settings(url=url, key=given_key(key, key_file), data_dir=data_dir, model=model)
    plan: list[tuple[str, Check]] = [("settings", lambda: finding), *checks.checks_of_machine()]
    if chosen is not None:
        plan += checks.checks_of_installation(chosen)
    findings = dict(_carry_out(plan, console=None if as_json else Console(soft_wrap=True)))
    failed = any(finding.state is State.FAIL for finding in findings.values())
    if as_json:
        print(json.dumps({"ok": not failed, "checks": [_facts(name, found) for name, found in findings.items()]}))
    code = UNUSABLE if failed else 0
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(code)  # Python would wait for what a check that hangs has begun in threads of asyncio's
    return code


def _carry_out(
    plan: list[tuple[str, Check]], *, console: Console | None, seconds: float = _SECONDS
) -> Iterator[tuple[str, Finding]]:
    """All at the same time, so that what is away costs no more than one of them may take; shown in order."""
    width = max(len(name) for name, _ in plan)
    began = time.monotonic()
    running = [(name, _in_background(check)) for name, check in plan]
    for name, future in running:
        bound = _ENGINE_SECONDS if name == "engine" else seconds
        try:
            finding = future.result(max(0.0, began + bound - time.monotonic()))
        except TimeoutError:
            finding = fail(f"no answer within {bound:g} s", "See whether a server, the network or a disk hangs.")
        if console is not None:
            _show(console, name.ljust(width), finding)
        yield name, finding


def _in_background(check: Check) -> "Future[Finding]":
    """In a daemon thread: a check may hang for as long as what it looks at does, and must hold up nothing."""
    future: Future[Finding] = Future()

    def run() -> None:
        try:
            future.set_result(check())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _show(console: Console, name: str, finding: Finding) -> None:
    colour, indent = _COLOURS[finding.state], " " * (len(name) + 7)
    detail = escape(visible(finding.detail, keep="\n")).replace("\n", f"\n{indent}")
    console.print(f"[{colour}]{finding.state:<4}[/]  {name} {detail}", highlight=False)
    if finding.mend:
        console.print(f"{indent}→ {escape(visible(finding.mend))}", highlight=False)


def _facts(name: str, finding: Finding) -> dict[str, str]:
    return {"name": name, "state": finding.state, "detail": finding.detail, "mend": finding.mend}
