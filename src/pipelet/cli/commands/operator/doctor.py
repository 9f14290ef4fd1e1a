"""`pipelet doctor`: check the installation."""

import asyncio
import json
import os
import sys
import threading
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from pipelet.cli.doctor import Check, Finding, checks
from pipelet.cli.doctor.run import run_checks
from pipelet.cli.options import DEFAULT_CONNECTION, AsJson, ConnectionOptions, ModelName, given_key
from pipelet.system.text import visible

PROBLEMS_FOUND = 3
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    *, model: ModelName = None, as_json: AsJson = False, connection: ConnectionOptions = DEFAULT_CONNECTION
) -> int:
    """Check the installation and suggest fixes. The exit code is 3 if a check fails.

    It changes nothing, except that it stores a file of a few bytes in the bucket if files are on S3: that is the only
    proof that storing works. Importing the engine takes some seconds; all other checks end within seven.

    For example:

        pipelet doctor

        pipelet doctor --model z-image-turbo --json
    """
    chosen, finding = checks.read_settings(
        api_url=connection.url, api_key=given_key(connection), data_dir=connection.data_dir, model=model
    )
    plan: list[tuple[str, Check]] = [("settings", lambda: finding), *checks.checks_of_machine()]
    if chosen is not None:
        plan += checks.checks_of_installation(chosen)
    console, width = Console(soft_wrap=True), max(len(name) for name, _ in plan)

    def show(name: str, finding: Finding) -> None:
        if not as_json:
            _show(console, name.ljust(width), finding)

    findings = asyncio.run(run_checks(plan, on_finding=show))
    failed = any(finding.state == "fail" for finding in findings.values())
    if as_json:
        print(
            json.dumps(
                {"ok": not failed, "checks": [{"name": name, **asdict(found)} for name, found in findings.items()]}
            )
        )
    code = PROBLEMS_FOUND if failed else 0
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(code)  # Python would wait for the asyncio threads of a check that hangs
    return code


def _show(console: Console, name: str, finding: Finding) -> None:
    colour, indent = _COLOURS[finding.state], " " * (len(name) + 7)
    detail = escape(visible(finding.detail, keep="\n")).replace("\n", f"\n{indent}")
    console.print(f"[{colour}]{finding.state:<4}[/]  {name} {detail}", highlight=False)
    if finding.fix:
        console.print(f"{indent}→ {escape(visible(finding.fix))}", highlight=False)
