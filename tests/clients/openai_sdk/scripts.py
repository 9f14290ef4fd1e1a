"""`scripts.py FILE…`: what people copy, each run as a script of its own. Prints exit code and output by file, as JSON.

One process runs them all, because it takes OpenAI's client a second to be imported.
"""

import contextlib
import io
import json
import runpy
import sys
import traceback


def run(file: str) -> tuple[int, str]:
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):
            runpy.run_path(file, run_name="__main__")
    except BaseException:  # noqa: BLE001 - also where it exits
        return 1, f"{shown.getvalue()}{traceback.format_exc()}"
    return 0, shown.getvalue()


json.dump({file: run(file) for file in sys.argv[1:]}, sys.stdout)
