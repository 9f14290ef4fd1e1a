"""Sessions of psql that stay open: a process and a connection for each statement take longer than most of those."""

import contextlib
import subprocess
import tempfile
import uuid
from pathlib import Path

_END_OF_CONNECTION = 2
"""Exit code of psql."""


class ConnectionLost(subprocess.CalledProcessError):
    """There is none, or the server has ended it."""


class Session:
    """
    Args:
        psql: the program.
        url: of the database.
    """

    def __init__(self, psql: Path, url: str) -> None:
        self._command = [str(psql), url, "-X", "-v", "ON_ERROR_STOP=1", "-qAt"]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process runs
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    @property
    def is_open(self) -> bool:
        return self._process.poll() is None

    def run(self, statement: str) -> str:
        """Return the output of a statement. An error ends the session.

        Raises:
            ConnectionLost: to a session that was open before, this may have happened at any time.
            CalledProcessError: the server refuses the statement.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        end = uuid.uuid4().hex
        lines: list[str] = []
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{statement};\n\\echo {end}\n")
            self._process.stdin.flush()
        for line in map(str.strip, self._process.stdout):
            if line == end:
                return "\n".join(lines)
            lines.append(line)
        code = self._process.wait()
        self._errors.seek(0)
        error = ConnectionLost if code == _END_OF_CONNECTION else subprocess.CalledProcessError
        told = self._errors.read()
        self.close()
        raise error(code, [*self._command, statement], "\n".join(lines), told)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended; it is closed
            self._process.communicate()  # the end of its input ends it
        self._errors.close()
