"""An older version's API and worker, and a newer one's, on one database that is migrated while users work.

    python -m benchmarks.resilience.versions [--older REV]

`REV` is a commit with an older schema, whose tree runs from a scratch folder in this environment; the newer version is
this one. Without `REV`, or if its schema is the same, the newer version is a copy of this one with one more migration,
which adds a column. On SQLite and on PostgreSQL, users submit, poll, cancel and fetch all the time, while

1. only the older API and worker run, and the newer code then migrates the database under them,
2. a newer API starts, and gets requests that ask for what the older version may not know,
3. a newer worker starts, and the older one is asked to stop,
4. the older API is asked to stop.

The goal is a zero under "broken guarantees"; exits with 1 if there are any.
"""

import argparse
import asyncio
import io
import json
import os
import random
import shutil
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
from tests.support.kills import check_invariants, files_on_disk, look_up
from tests.support.servers import postgres
from tests.support.service import Service, pipelet
from tests.support.users import Report, Users
from tests.webhooks.receiver import Receiver

from benchmarks.lib.service import ROOT, scratch
from benchmarks.resilience.newer_requests import NewerRequests

MIGRATIONS = Path("src/pipelet/store/migrations")
_ADD_COLUMN = "ALTER TABLE job ADD COLUMN tag TEXT NOT NULL DEFAULT '';\n"
_ENDS = 25
"""Requests of the users that end between two steps."""
_STANDSTILL = 60.0


@dataclass
class Seen:
    """What was observed on one database."""

    report: Report = field(default_factory=Report)
    migration_seconds: float = 0.0
    start_afterwards: str = ""
    """What an older worker does that is started after the migration."""
    submits: dict[str, int] = field(default_factory=dict)
    """Requests by version."""
    generated: Counter[str] = field(default_factory=Counter)
    """Requests by worker."""
    newer: int = 0
    """Requests of the kinds of `newer_requests`."""
    newer_waited: Counter[str] = field(default_factory=Counter)
    """Requests that waited for the newer worker, by kind."""
    newer_by_older: int = 0
    begun_late: int = 0
    """Requests that the older worker started after their deadline."""
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
    began = time.monotonic()
    seen = {}
    with scratch() as folder:
        older = ROOT if options.older is None else _archive(options.older, folder / "older")
        newer = ROOT if _head(older) != _head(ROOT) else _with_next_migration(folder / "newer")
        title = f"{options.older or 'this version'} ({_head(older)}) and a newer version ({_head(newer)})"
        for database in databases:
            with _database(database, folder / database) as url:
                seen[database] = asyncio.run(_upgrade(folder / database, older, newer, url, options.seed))
    result = _table(seen)
    result.title = title
    result.caption = f"{time.monotonic() - began:.0f} s, seed {options.seed}"
    Console(width=None if os.isatty(1) else 120, highlight=False).print(result)
    for database, found in seen.items():
        for fault in found.report.faults:
            print(f"{database}: {fault}")
    sys.exit(1 if any(found.report.faults or found.lost for found in seen.values()) else 0)


def _with_next_migration(folder: Path) -> Path:
    """Copy this version, and add a migration."""
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    version = int(_head(folder).removeprefix("schema ")) + 1
    for dialect in ("sqlite", "postgresql"):
        (folder / MIGRATIONS / dialect / f"{version:04}_add_column.sql").write_text(_ADD_COLUMN)
    return folder


def _archive(revision: str, folder: Path) -> Path:
    archive = subprocess.run(
        ["git", "archive", "--format=tar", revision, "src", "tests"], cwd=ROOT, check=True, capture_output=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def _head(tree: Path) -> str:
    """Return the newest schema version that a tree knows."""
    return "schema " + max(file.name for file in (tree / MIGRATIONS / "sqlite").glob("[0-9]*.sql"))[:4]


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str | None]:
    """Yield the database's URL; None for the one in the data directory."""
    folder.mkdir()
    if kind == "sqlite":
        yield None
    else:
        with postgres.running() as server:
            yield server.new_database()


def _service(name: str, folder: Path, tree: Path, url: str | None) -> Service:
    """Return an API of one version on the data directory in `folder`, without workers."""
    settings = {"lease_seconds": "2", "log_level": "info", "allowed_networks": "127.0.0.0/8"}
    path = os.pathsep.join([str(tree / "src"), str(tree)])
    service = Service(
        folder,
        arguments=("--workers", "0"),
        settings=settings | ({} if url is None else {"database_url": url}),
        variables={"PYTHONPATH": path},
    )
    catalog = folder / "edits.toml"
    catalog.write_text((folder / "catalog.toml").read_text() + "max_input_images = 1\n")
    service.settings["catalog"] = str(catalog)
    service.data_dir.mkdir(mode=0o700, exist_ok=True)  # or it starts with the tables of this version
    service.log_file = folder / f"{name}.log"
    return service


async def _upgrade(folder: Path, older_tree: Path, newer_tree: Path, url: str | None, seed: int) -> Seen:
    older, newer = (_service(name, folder, tree, url) for name, tree in (("older", older_tree), ("newer", newer_tree)))
    database = url or str(older.data_dir / "pipelet.sqlite")
    seen = Seen()
    try:
        await asyncio.to_thread(older.start)
        urls = [older.url]
        users = Users(urls, lambda: older.key, random.Random(seed), seen.report, cancels=0.15)
        sent = await _in_steps(older, newer, users, urls, seen)
        await check_invariants(users, database, files_on_disk(older.data_dir / "files"))
        await _attribute_results(database, sent, users, seen)
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


async def _in_steps(older: Service, newer: Service, users: Users, urls: list[str], seen: Seen) -> NewerRequests:
    """Upgrade step by step. `urls` are those of the APIs that `users` call."""
    older_worker = older.start_worker("--name", "older")
    working = asyncio.create_task(users.run())
    await _await_progress(users)

    began = time.monotonic()
    migrated = await asyncio.to_thread(
        pipelet, "migrate", cwd=newer.folder, variables=newer.variables, **newer.settings
    )
    seen.migration_seconds = time.monotonic() - began
    if migrated.returncode:
        users.fault(f"the migration failed: {migrated.stderr}")
    await _await_progress(users)
    seen.start_afterwards = await asyncio.to_thread(_start_afterwards, older, users)

    await asyncio.to_thread(newer.start)
    urls.append(newer.url)
    async with Receiver() as receiver:
        requests = NewerRequests(newer.url, older.url, users, receiver)
        await requests.submit()
        await _await_progress(users)
        await requests.note_waiting()

        newer_worker = newer.start_worker("--name", "newer")
        await _await_progress(users)
        await requests.submit()
        await _stops(older_worker, users, "the older worker")
        await _await_progress(users)

        urls.remove(older.url)
        await _stops(older.process, users, "the older API")
        await _await_progress(users)
        await requests.submit(ask_older=False)
        users.leaving.set()
        await working
        await requests.check_results()
    await users.ask_again()
    await _stops(newer_worker, users, "the newer worker")
    await _stops(newer.process, users, "the newer API")
    return requests


async def _await_progress(users: Users) -> None:
    enough = users.report.ended + _ENDS
    try:
        async with asyncio.timeout(_STANDSTILL):
            while users.report.ended < enough:
                users.progressed.clear()
                await users.progressed.wait()
    except TimeoutError:
        users.fault(f"fewer than {_ENDS} requests ended within {_STANDSTILL:g} s")


async def _stops(process: "subprocess.Popen[str] | subprocess.Popen[bytes] | None", users: Users, what: str) -> None:
    """Stop a process as an operator does, with the time that it needs."""
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
        users.fault("an older worker that starts after the migration works on a schema that it does not know")
        return "works"
    said = refused.stderr.strip().rpartition("\n")[2]
    if refused.returncode == 0 or "newer version" not in said:
        users.fault(f"an older worker that starts after the migration ends with {refused.returncode}: {said}")
    return "refused, with the reason"


async def _attribute_results(database: str, requests: NewerRequests, users: Users, seen: Seen) -> None:
    rows = await look_up(database, "SELECT id, worker, started_at > start_deadline FROM job WHERE state = 'succeeded'")
    workers = {request_id: worker for request_id, worker, _ in rows}
    seen.generated.update(workers.values())
    seen.newer = len(requests.sent)
    seen.newer_waited.update(sent.kind.name for sent in requests.waited)
    seen.newer_by_older = sum(workers.get(sent.id) == "older" for sent in requests.sent)
    for request_id, worker, is_late in rows:
        if is_late and worker == "older":
            seen.begun_late += 1
        elif is_late:
            users.fault(f"{request_id}: the newer worker started it after its deadline")


def _table(databases: dict[str, Seen]) -> Table:
    table = Table("what was seen", *databases)
    table.columns[0].overflow = "fold"

    def row(what: str, *values: object) -> None:
        table.add_row(what, *map(str, values))

    seen = databases.values()
    reports = [each.report for each in seen]
    row("migrated under the older processes, within", *(f"{each.migration_seconds:.1f} s" for each in seen))
    row(
        "an older worker that starts after it",
        *(each.start_afterwards for each in seen),
    )
    for version in ("older", "newer"):
        row(f"submitted through the {version} API", *(each.submits[version] for each in seen))
    for worker in ("older", "newer"):
        row(f"generated by the {worker} worker", *(each.generated[worker] for each in seen))
    table.add_section()
    row("requests for newer features", *(each.newer for each in seen))
    row("… generated by the older worker", *(each.newer_by_older for each in seen))
    row("… waited for the newer worker", *(_counted(each.newer_waited) for each in seen))
    row("… started by the older worker after their deadline", *(each.begun_late for each in seen))
    table.add_section()
    row("accepted", *(report.accepted for report in reports))
    row("ended once, as they should", *(report.completed for report in reports))
    row("cancelled, and stayed so", *(report.cancelled for report in reports))
    row("lost", *(each.lost for each in seen))
    row("needed more than one attempt", *(report.retried for report in reports))
    row("submits refused for the moment, or reply lost", *(report.lost_answers for report in reports))
    row("warnings and errors in the logs", *(_counted(each.troubles) for each in seen))
    row("broken guarantees", *(len(report.faults) for report in reports))
    return table


def _counted(found: Counter[str]) -> str:
    return "\n".join(f"{times} {what}" for what, times in sorted(found.items())) or "0"


if __name__ == "__main__":
    main()
