"""The entry point. It handles SIGTERM before it imports anything slow."""

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
    """Exit at SIGTERM: in order or, after `within` seconds, at once.

    For process 1, which is what a container starts, the kernel has no default action: SIGTERM would be ignored.
    """

    def exit_in_order(number: int, _frame: object) -> NoReturn:
        # A finalizer would swallow the exception, and a thread in a DNS lookup would delay the exit.
        _thread.start_new_thread(_exit_after, (within, 128 + number))
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, exit_in_order)


def _exit_after(seconds: float, status: int) -> None:
    time.sleep(seconds)
    os._exit(status)


if __name__ == "__main__":
    main()
