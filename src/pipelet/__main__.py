"""The first steps of the process. It can be stopped before anything is imported that takes time."""

import signal
import sys
from typing import NoReturn


def main() -> None:
    # The kernel gives process 1, which is what a container starts, no default action: SIGTERM would be lost.
    signal.signal(signal.SIGTERM, _exit)
    try:
        from pipelet.cli import main as run_command

        run_command()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _exit(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
