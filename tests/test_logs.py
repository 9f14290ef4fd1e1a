"""Logs for people: what others wrote is shown, and not obeyed."""

import re
import subprocess
import sys

from tests.support.service import environment

_CODE = """
import logging, structlog
from pipelet import logs

logs.configure(format="console", level="info")
structlog.get_logger().info("request.unavailable", path="/a\\x1b[2J\\nforged\\x9b31m\\u202e", many=["\\x1b[2J"])
logging.getLogger("library").warning("said \\x1b[2J")
password = "hush"
try:
    raise ValueError("of others: \\x1b]0;title\\x07")
except ValueError:
    structlog.get_logger().error("loop.crashed", exc_info=True)
"""


def test_no_line_controls_the_terminal_or_shows_a_local_variable() -> None:
    """Control characters of fields, messages and exceptions are escaped; a traceback keeps its lines."""
    command = [sys.executable, "-c", _CODE]
    shown = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)

    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.stderr)  # our own colours
    for escaped in (r"/a\x1b[2J\nforged\x9b31m\u202e", r"\x1b[2J", r"said \x1b[2J", r"of others: \x1b]0;title\x07"):
        assert escaped in text
    assert not {letter for letter in text if not letter.isprintable()} - {"\n"}
    assert "\nTraceback" in text
    assert "hush" not in text
