"""`pipelet doctor`: look the installation over."""

import json
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pipelet.cli import checks
from pipelet.cli.connection import given_key
from pipelet.cli.findings import Check, Finding, State
from pipelet.cli.flags import AsJson
from pipelet.system.text import visible

UNUSABLE = 3
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
    proof that it can be done. Importing the engine takes some seconds.

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
    return UNUSABLE if failed else 0


def _carry_out(plan: list[tuple[str, Check]], *, console: Console | None) -> Iterator[tuple[str, Finding]]:
    """Each shown as soon as it is known."""
    width = max(len(name) for name, _ in plan)
    for name, check in plan:
        finding = check()
        if console is not None:
            _show(console, name.ljust(width), finding)
        yield name, finding


def _show(console: Console, name: str, finding: Finding) -> None:
    colour, indent = _COLOURS[finding.state], " " * (len(name) + 7)
    detail = escape(visible(finding.detail, keep="\n")).replace("\n", f"\n{indent}")
    console.print(f"[{colour}]{finding.state:<4}[/]  {name} {detail}", highlight=False)
    if finding.mend:
        console.print(f"{indent}→ {escape(visible(finding.mend))}", highlight=False)


def _facts(name: str, finding: Finding) -> dict[str, str]:
    return {"name": name, "state": finding.state, "detail": finding.detail, "mend": finding.mend}
