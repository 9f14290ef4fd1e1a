"""`pipelet doctor`: check the installation."""

import asyncio
import json
import os
import sys
import threading
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from pipelet.cli.doctor import Check, Finding, checks, fail
from pipelet.cli.options import DEFAULT_CONNECTION, AsJson, ConnectionOptions, ModelName, given_key
from pipelet.concurrency.daemon_threads import DaemonThreadPool
from pipelet.system.text import visible

PROBLEMS_FOUND = 3
_TIMEOUT = 7.0
"""Seconds for all checks together, but for the engine's, whose import depends on the disk."""
_ENGINE_TIMEOUT = 65.0
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
    findings = asyncio.run(_run_checks(plan, console=None if as_json else Console(soft_wrap=True)))
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


async def _run_checks(
    plan: list[tuple[str, Check]], *, console: Console | None, limit_seconds: float = _TIMEOUT
) -> dict[str, Finding]:
    """Run all checks at the same time, so that several timeouts cost no more than one. Show findings in order."""
    width, began = max(len(name) for name, _ in plan), asyncio.get_running_loop().time()
    threads = DaemonThreadPool(len(plan), name="check")  # a check that hangs must not block the others, or the exit
    running = [(name, asyncio.create_task(threads.run(check))) for name, check in plan]
    findings = {}
    for name, check in running:
        limit = _ENGINE_TIMEOUT if name == "engine" else limit_seconds
        try:
            async with asyncio.timeout_at(began + limit):
                findings[name] = await check
        except TimeoutError:
            fix = "Check for a server, a network or a disk that hangs."
            findings[name] = fail(f"no result within {limit:g} s", fix)
        if console is not None:
            _show(console, name.ljust(width), findings[name])
    return findings


def _show(console: Console, name: str, finding: Finding) -> None:
    colour, indent = _COLOURS[finding.state], " " * (len(name) + 7)
    detail = escape(visible(finding.detail, keep="\n")).replace("\n", f"\n{indent}")
    console.print(f"[{colour}]{finding.state:<4}[/]  {name} {detail}", highlight=False)
    if finding.fix:
        console.print(f"{indent}→ {escape(visible(finding.fix))}", highlight=False)
