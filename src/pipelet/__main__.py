"""The first steps of the process. It can be stopped before anything is imported that takes time."""

import _thread
import os
import signal
import sys
import time
from typing import NoReturn


def main() -> None:
    exit_at_sigterm()
    try:
        from pipelet.cli import main as run_command

        run_command()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def exit_at_sigterm(within: float = 2.0) -> None:
    """End the process at SIGTERM, in order or, after `within` seconds, in any way.

    The kernel gives process 1, which is what a container starts, no default action: SIGTERM would be lost.
    """

    def exit_in_order(number: int, _frame: object) -> NoReturn:
        # A finalizer swallows the exception, and a thread that waits for a name server would be waited for.
        _thread.start_new_thread(_exit_after, (within, 128 + number))
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, exit_in_order)


def _exit_after(seconds: float, status: int) -> None:
    time.sleep(seconds)
    os._exit(status)


if __name__ == "__main__":
    main()
