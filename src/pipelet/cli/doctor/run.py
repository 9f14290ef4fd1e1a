"""Runs checks at the same time."""

import asyncio
from collections.abc import Callable

from pipelet.cli.doctor import Check, Finding, fail
from pipelet.concurrency.daemon_threads import DaemonThreadPool

TIMEOUT = 7.0
"""Seconds for all checks together, but for the engine's, whose import depends on the disk."""
_ENGINE_TIMEOUT = 65.0


async def run_checks(
    plan: list[tuple[str, Check]],
    *,
    on_finding: Callable[[str, Finding], None] = lambda _name, _finding: None,
    limit_seconds: float = TIMEOUT,
) -> dict[str, Finding]:
    """Run all checks at the same time, so that several timeouts cost no more than one.

    Args:
        on_finding: called with each finding, in the order of the plan.
    """
    began = asyncio.get_running_loop().time()
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
        on_finding(name, findings[name])
    return findings
