"""The end of forked processes."""

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable


def run_to_the_end(main: Callable[[], object]) -> None:
    """Run `main`, and end the process in the order of the interpreter, without its last step.

    The interpreter would free every object, and so copy all memory that is still shared with the server.
    """
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    if isinstance(code, int):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError):  # the interpreter tells, where an output cannot be written
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    sys.exit(code)  # type: ignore[arg-type]
