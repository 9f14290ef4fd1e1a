"""The calls that the page gives to copy."""

import json
import subprocess
from typing import Any

from tests.support.installed import NODE
from tests.support.service import REPOSITORY

_MODULE = REPOSITORY / "src" / "pipelet" / "web" / "js" / "lib" / "snippets.js"
_WRITE = """
import { SNIPPETS } from "%s";
const call = JSON.parse(process.argv[1]);
console.log(JSON.stringify(Object.fromEntries(SNIPPETS.map(({ name, write }) => [name, write(call)]))));
"""


def snippets(base: str, app: str, fields: dict[str, Any]) -> dict[str, str]:
    """By language, what the page shows of a request with these fields, where it was opened at `base`."""
    call = json.dumps({"base": base, "app": app, "input": fields})
    script = _WRITE % _MODULE.as_uri()
    return dict(json.loads(subprocess.check_output([str(NODE), "--input-type=module", "-e", script, call], text=True)))
