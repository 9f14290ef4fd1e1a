"""An older version's API and worker, and this one's, on one database that is brought up to date while users work.

    python -m benchmarks.versions --older REV

`REV` is any commit; without it, the one before the last migration. Its tree runs from a scratch folder, in this
environment. On SQLite and on PostgreSQL, users submit, poll, cancel and fetch all the time, while

1. the older API and worker are alone, and the newer code then migrates the database under them,
2. a newer API comes beside them, and gets requests that ask for what the older version may not know,
3. a newer worker comes, and the older one is asked to stop,
4. the older API is asked to stop.

The goal is a zero under "broken promises"; exits with 1 where there is any.
"""

import argparse
import asyncio
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests import postgres_server
from tests.kills import files_on_disk, inspect_books, look_up
from tests.service import Service, pipelet
from tests.users import Report, Users
from tests.webhooks.receiver import Receiver

from benchmarks.newer_requests import NewerRequests
from benchmarks.service import ROOT, scratch

MIGRATIONS = Path("src/pipelet/store/migrations/versions")
_ENDS = 25
"""Requests of the users that end between two steps."""
_STANDSTILL = 60.0


@dataclass
class Seen:
    """On one database."""

    report: Report = field(default_factory=Report)
    migration_seconds: float = 0.0
    start_afterwards: str = "works: the schema is its own"
    """What an older worker says that is started after the migration."""
    submits: dict[str, int] = field(default_factory=dict)
    """By version."""
    drawn: Counter[str] = field(default_factory=Counter)
    """By worker."""
    newer: int = 0
    """Requests of the kinds of `newer_requests`."""
    newer_waited: Counter[str] = field(default_factory=Counter)
    """By kind: they waited for the newer worker."""
    newer_by_older: int = 0
    begun_late: int = 0
    """By the older worker, after the deadline for their start."""
    troubles: Counter[str] = field(default_factory=Counter)
    """Warnings and errors in the logs."""

    @property
    def lost(self) -> int:
        return self.report.accepted - self.report.ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--older", metavar="REV")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], nargs="*", default=["sqlite", "postgresql"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: on SQLite alone")
    options = parser.parse_args()
    databases = ["sqlite"] if options.smoke else options.database
    revision = _git("rev-parse", "--short", options.older or _before_last_migration())
    began = time.monotonic()
    seen = {}
    with scratch() as folder:
        tree = _tree(revision, folder / "older")
        title = f"{revision} ({_head(tree)}) beside this version ({_head(ROOT)})"
        for database in databases:
            with _database(database, folder / database) as url:
                seen[database] = asyncio.run(_upgrade(folder / database, tree, url, options.seed))
    result = _table(seen)
    result.title = title
    result.caption = f"{time.monotonic() - began:.0f} s, seed {options.seed}"
    Console(width=None if os.isatty(1) else 120, highlight=False).print(result)
    for database, found in seen.items():
        for fault in found.report.faults:
            print(f"{database}: {fault}")
    sys.exit(1 if any(found.report.faults or found.lost for found in seen.values()) else 0)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _before_last_migration() -> str:
    newest = max((ROOT / MIGRATIONS).glob("[0-9]*.py")).relative_to(ROOT)
    parents = _git("log", "--diff-filter=A", "--format=%P", "--", str(newest)).split()
    if not parents:
        sys.exit(f"The history here does not tell which commit added {newest}. Name an older one: --older REV.")
    return parents[-1]


def _tree(revision: str, folder: Path) -> Path:
    archive = subprocess.run(
        ["git", "archive", "--format=tar", revision, "src", "tests"], cwd=ROOT, check=True, capture_output=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def _head(tree: Path) -> str:
    """The newest revision of the schema that a tree knows."""
    return "schema " + max(file.name for file in (tree / MIGRATIONS).glob("[0-9]*.py"))[:4]


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str | None]:
    """Its URL; None for the one in the data directory."""
    folder.mkdir()
    if kind == "sqlite":
        yield None
    else:
        with postgres_server.running() as server:
            yield server.new_database()


def _services(folder: Path, tree: Path, url: str | None) -> tuple[Service, Service]:
    """An older and a newer API over one data directory, with no workers."""
    shared = {"lease_seconds": "2", "log_level": "info"} | ({} if url is None else {"database_url": url})
    path = os.pathsep.join([str(tree / "src"), str(tree)])
    older = Service(folder, arguments=("--workers", "0"), settings=shared, variables={"PYTHONPATH": path})
    older.data_dir.mkdir(mode=0o700)  # or it starts with the tables of this version
    catalog = folder / "edits.toml"
    catalog.write_text((folder / "catalog.toml").read_text() + "max_references = 1\n")
    edits, hooks = {"catalog": str(catalog)}, {"allowed_networks": "127.0.0.0/8"}
    newer = Service(folder, arguments=("--workers", "0"), settings=shared | edits | hooks)
    # What it does not know, an older version refuses.
    if "max_references" in (tree / "src/pipelet/domain/catalog.py").read_text():
        older.settings |= edits
    if "allowed_networks" in (tree / "src/pipelet/settings.py").read_text():
        older.settings |= hooks
    older.log_file, newer.log_file = folder / "older.log", folder / "newer.log"
    return older, newer


async def _upgrade(folder: Path, tree: Path, url: str | None, seed: int) -> Seen:
    older, newer = _services(folder, tree, url)
    database = url or str(older.data_dir / "pipelet.sqlite")
    seen = Seen()
    try:
        await asyncio.to_thread(older.start)
        urls = [older.url]
        users = Users(urls, lambda: older.key, random.Random(seed), seen.report, cancels=0.15)
        sent = await _in_steps(older, newer, users, urls, seen, changed=_head(tree) != _head(ROOT))
        await inspect_books(users, database, files_on_disk(older.data_dir / "files"))
        await _who_drew_what(database, sent, users, seen)
    finally:
        older.kill()
        newer.kill()
    for name, service in (("older", older), ("newer", newer)):
        lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
        seen.submits[name] = sum(line["event"] == "request.submitted" for line in lines)
        seen.troubles.update(
            f"{name} {line['event']}" for line in lines if line["level"] in ("warning", "error", "critical")
        )
    return seen


async def _in_steps(
    older: Service, newer: Service, users: Users, urls: list[str], seen: Seen, *, changed: bool
) -> NewerRequests:
    """`urls` are those that `users` go to. `changed`: the versions have different schemas."""
    older_worker = older.start_worker("--name", "older")
    coming_and_going = asyncio.create_task(users.run())
    await _work_goes_on(users)

    began = time.monotonic()
    migrated = await asyncio.to_thread(pipelet, "migrate", cwd=newer.folder, **newer.settings)
    seen.migration_seconds = time.monotonic() - began
    if migrated.returncode:
        users.fault(f"the migration failed: {migrated.stderr}")
    await _work_goes_on(users)
    if changed:
        seen.start_afterwards = await asyncio.to_thread(_start_afterwards, older, users)

    await asyncio.to_thread(newer.start)
    urls.append(newer.url)
    async with Receiver() as receiver:
        requests = NewerRequests(newer.url, older.url, users, receiver)
        await requests.submit()
        await _work_goes_on(users)
        await requests.note_who_waits()

        newer_worker = newer.start_worker("--name", "newer")
        await _work_goes_on(users)
        await requests.submit()
        await _stops(older_worker, users, "the older worker")
        await _work_goes_on(users)

        urls.remove(older.url)
        await _stops(older.process, users, "the older API")
        await _work_goes_on(users)
        await requests.submit(ask_older=False)
        users.leaving.set()
        await coming_and_going
        await requests.see_the_end()
    await users.ask_again()
    await _stops(newer_worker, users, "the newer worker")
    await _stops(newer.process, users, "the newer API")
    return requests


async def _work_goes_on(users: Users) -> None:
    enough = users.report.ended + _ENDS
    try:
        async with asyncio.timeout(_STANDSTILL):
            while users.report.ended < enough:
                users.progressed.clear()
                await users.progressed.wait()
    except TimeoutError:
        users.fault(f"fewer than {_ENDS} requests ended within {_STANDSTILL:g} s")


async def _stops(process: "subprocess.Popen[str] | subprocess.Popen[bytes] | None", users: Users, what: str) -> None:
    """As when somebody upgrades: it is asked to, and has the time it needs."""
    assert process is not None
    process.terminate()
    try:
        code = await asyncio.to_thread(process.wait, 60)
    except subprocess.TimeoutExpired:
        users.fault(f"{what} did not stop within 60 s")
        return
    if code:
        users.fault(f"{what} stopped with status {code}")


def _start_afterwards(older: Service, users: Users) -> str:
    try:
        refused = pipelet("worker", cwd=older.folder, timeout=30, variables=older.variables, **older.settings)
    except subprocess.TimeoutExpired:
        users.fault("an older worker that starts after the migration works on a database that it does not know")
        return "works"
    said = refused.stderr.strip().rpartition("\n")[2]
    if refused.returncode == 0 or "newer version" not in said:
        users.fault(f"an older worker that starts after the migration ends with {refused.returncode}: {said}")
    return "refused, and told why"


async def _who_drew_what(database: str, requests: NewerRequests, users: Users, seen: Seen) -> None:
    rows = await look_up(database, "SELECT id, worker, started_at > start_by FROM job WHERE state = 'succeeded'")
    workers = {request_id: worker for request_id, worker, _ in rows}
    seen.drawn.update(workers.values())
    seen.newer = len(requests.sent)
    seen.newer_waited.update(sent.kind.name for sent in requests.waited)
    seen.newer_by_older = sum(workers.get(sent.id) == "older" for sent in requests.sent)
    for request_id, worker, is_late in rows:
        if is_late and worker == "older":
            seen.begun_late += 1
        elif is_late:
            users.fault(f"{request_id}: the newer worker began it after its deadline")


def _table(databases: dict[str, Seen]) -> Table:
    table = Table("what was seen", *databases)
    table.columns[0].overflow = "fold"

    def row(what: str, *values: object) -> None:
        table.add_row(what, *map(str, values))

    seen = databases.values()
    reports = [each.report for each in seen]
    row("migrated under the older processes, within", *(f"{each.migration_seconds:.1f} s" for each in seen))
    row(
        "an older worker that starts afterwards",
        *(each.start_afterwards for each in seen),
    )
    for version in ("older", "newer"):
        row(f"submitted through the {version} API", *(each.submits[version] for each in seen))
    for worker in ("older", "newer"):
        row(f"drawn by the {worker} worker", *(each.drawn[worker] for each in seen))
    table.add_section()
    row("asked for what is newer", *(each.newer for each in seen))
    row("… drawn by the older worker", *(each.newer_by_older for each in seen))
    row("… waited for the newer worker", *(_counted(each.newer_waited) for each in seen))
    row("… begun by the older worker after their deadline", *(each.begun_late for each in seen))
    table.add_section()
    row("accepted", *(report.accepted for report in reports))
    row("ended once, as they should", *(report.completed for report in reports))
    row("cancelled, and stayed so", *(report.cancelled for report in reports))
    row("lost", *(each.lost for each in seen))
    row("needed more than one attempt", *(report.retried for report in reports))
    row("submits refused for the moment, or answer lost", *(report.lost_answers for report in reports))
    row("warnings and errors in the logs", *(_counted(each.troubles) for each in seen))
    row("broken promises", *(len(report.faults) for report in reports))
    return table


def _counted(found: Counter[str]) -> str:
    return "\n".join(f"{times} {what}" for what, times in sorted(found.items())) or "0"


if __name__ == "__main__":
    main()
